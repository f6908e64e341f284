"""What a node is to its control socket."""

from __future__ import annotations

from typing import Protocol

from sbs.replication.leading.preview import Preview
from sbs.runtime.operating.status import Status, Switchover
from sbs.runtime.updating.keeping import Standing
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.verifier import Verification


class Operated(Protocol):
    """What an operator may ask of a node; see :class:`~sbs.runtime.node.Node`."""

    async def status(self) -> Status:
        """The node at this moment."""
        ...

    async def stop(self, *, force: bool = True) -> None:
        """End in order; without ``force`` only where a handover may succeed."""
        ...

    async def switchover(self, *, dry_run: bool = False) -> Switchover:
        """Exchange the roles."""
        ...

    async def takeover(self, *, force: bool) -> None:
        """Lead on the operator's word."""
        ...

    async def pause(self) -> None:
        """Suspend automatic takeovers."""
        ...

    async def resume(self) -> None:
        """Allow them again."""
        ...

    async def sync(self, *, accepted: str = "", quick: bool = False) -> LastUpdate | None:
        """Run one update now."""
        ...

    async def diff(self) -> Preview:
        """What an update would send."""
        ...

    async def verify(self, bytes_s: float = 0.0) -> Verification:
        """Compare all contents on both nodes."""
        ...

    async def start_unit(self, name: str, *, again: bool = False) -> None:
        """Start one service."""
        ...

    async def stop_unit(self, name: str) -> str:
        """Stop one service; returns why it could not be started again."""
        ...


class Restoring(Protocol):
    """What is asked of a node's folders; see :class:`~sbs.runtime.updating.keeping.Keeping`."""

    def look(self) -> Standing:
        """What it holds, and where."""
        ...

    async def restore(self, folder: str, path: str, generation: int) -> str:
        """Put a former version in its place; returns what was done."""
        ...
