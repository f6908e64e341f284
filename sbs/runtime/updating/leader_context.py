"""What a leader asks of its node, and tells it."""

from __future__ import annotations

from typing import Protocol

from sbs.core.guard import Held
from sbs.core.history import Generation, History
from sbs.core.messages import Findings
from sbs.replication.changes import Changes
from sbs.replication.files.problems import Problem
from sbs.runtime.updating.lag import Lag
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.tracker import Tracker


class LeaderContext(Protocol):
    """What a leader asks of its node."""

    @property
    def history(self) -> History:
        """The generations held, of which the next one is the successor."""
        ...

    @property
    def active(self) -> tuple[str, ...]:
        """The services that a takeover starts."""
        ...

    async def run_update_hooks(self, *, due: bool) -> Changes:
        """Run the update scripts if they are due, or hold the update as long as they fail."""
        ...

    async def proposed(self, generation: Generation) -> None:
        """The commit of a generation is about to be sent."""
        ...

    async def acknowledged(self, generation: Generation) -> None:
        """The follower holds it."""
        ...

    @property
    def tracker(self) -> Tracker:
        """Told how far the update is."""
        ...

    @property
    def lag(self) -> Lag:
        """Told when the follower holds all that stood there."""
        ...

    def updated(self, update: LastUpdate | None, problems: tuple[Problem, ...]) -> None:
        """An update was sent, or nothing had changed (None)."""
        ...

    def guarded(self, held: Held | None) -> None:
        """The guard holds the next update, or lets it pass (B22)."""
        ...

    def update_failed(self, text: str) -> None:
        """An update could not be sent; the next period tries again."""
        ...

    def found(self, findings: Findings) -> None:
        """What the follower could not put in place, and what it keeps in quarantine (B4)."""
        ...
