"""Which roles a node has had, when and why: for people, who ask later what happened (B61).

One file, ``state_dir/roles.json``, a record as in :mod:`sbs.runtime.lasting.records`. Nothing is
decided by it: it is written beside the loop, and a damaged one is set aside.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import attrs
import trio
from attrs.validators import and_, ge, in_, instance_of, lt
from cattrs.preconf.json import make_converter

from sbs.core.claim import Role
from sbs.core.effects import TellRole
from sbs.errors import StateError
from sbs.log import WARNING, Log
from sbs.runtime.lasting.records import sealed, structured, unsealed, write_durably

FILE: Final = "roles.json"
VERSION: Final = 1
"""Of the file's form."""

MAX_CHANGES: Final = 500
"""Changes that are remembered, the newest: years of a pair that is well, a day of one that flaps
every ten minutes."""

MAX_REASON: Final = 1000
"""Characters kept of a reason: what another node says of itself stands in some."""

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""Largest file read: as many changes with reasons of escaped characters alone fit."""

MAX_AT: Final = 253_402_214_400.0
"""Of a time: the last day of the year 9999, the last one that every time zone can show."""

_log = Log(__name__)
_UNREAD = _log.event(
    "roles-unreadable",
    WARNING,
    "{error}",
    "What `sbs roles` showed of the past is lost to it; the file is set aside with the "
    "ending `.damaged`, and a new one begun. Look at the disk.",
)
_KEPT = _log.event(
    "roles-not-set-aside",
    WARNING,
    "{path} cannot be set aside: {error}",
    "The damaged file of `roles-unreadable` is overwritten at the next change of role. "
    "Mend what the text names.",
)
_UNWRITTEN = _log.event(
    "roles-not-written",
    WARNING,
    "{path} cannot be written: {error}",
    "`sbs roles` will not know the changes from now on; the node itself does. Mend the disk.",
)

_converter = make_converter(detailed_validation=False)


@attrs.frozen(kw_only=True)
class RoleChange:
    """A node's role was this from then on.

    Args:
        at: seconds since 1970.
        role: ``stopped``, ``probing``, ``primary``, ``secondary``, ``waiting`` or ``fenced``.
        epoch: counter of the newest primacy known then.
        reason: why, in words.
    """

    at: float = attrs.field(validator=and_(instance_of(float), ge(0.0), lt(MAX_AT)))
    role: str = attrs.field(validator=in_([role.value for role in Role]))
    epoch: int
    reason: str = attrs.field(validator=instance_of(str))


def read_role_history(state_dir: str) -> tuple[RoleChange, ...]:
    """The changes of the node whose state is in ``state_dir``, whether it runs or not.

    Returns:
        them, oldest first, at most :data:`MAX_CHANGES`; none if no node has run there.

    Raises:
        StateError: the file is damaged, of another version, or cannot be read; it is left as it is.
    """
    path = os.path.join(state_dir, FILE)
    try:
        with open(path, "rb") as file:
            return _parse(file.read(MAX_FILE_BYTES + 1), f"role history in {path}")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StateError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise StateError(
            f"{path} is damaged ({error}); the node sets it aside at its next start, and goes on"
        ) from error


class RoleHistory:
    """The role changes of one node, over restarts.

    Args:
        state_dir: of the node.
        clock: seconds since 1970.
    """

    def __init__(self, state_dir: str, clock: Callable[[], float] = time.time) -> None:
        self._path = os.path.join(state_dir, FILE)
        self._clock = clock
        self._changes = deque(self._recall(state_dir), MAX_CHANGES)
        self._due = trio.Event()
        self._ended = False
        self._failing = False

    @property
    def changes(self) -> tuple[RoleChange, ...]:
        """Oldest first."""
        return tuple(self._changes)

    def tell(self, change: TellRole) -> None:
        """The role is this now; that is written soon."""
        self._changes.append(
            RoleChange(
                at=self._clock(),
                role=change.role.value,
                epoch=change.epoch.counter,
                reason=change.reason[:MAX_REASON],
            )
        )
        self._due.set()

    def end(self) -> None:
        """No change comes any more; :meth:`run` returns when the last is written."""
        self._ended = True
        self._due.set()

    async def run(self) -> None:
        """Write what is told; what cannot be written is tried again with the next change."""
        ended = False
        while not ended:
            await self._due.wait()
            ended, self._due = self._ended, trio.Event()
            await trio.to_thread.run_sync(self._write, self.changes)

    def _recall(self, state_dir: str) -> tuple[RoleChange, ...]:
        try:
            return read_role_history(state_dir)
        except StateError as error:
            _UNREAD(error=error)
            try:
                os.replace(self._path, f"{self._path}.damaged")
            except OSError as failure:
                _KEPT(path=self._path, error=failure.strerror)
            return ()

    def _write(self, changes: Iterable[RoleChange]) -> None:
        try:
            write_durably(self._path, sealed(_converter.unstructure([*changes]), VERSION))
        except OSError as error:
            if not self._failing:
                _UNWRITTEN(path=self._path, error=error.strerror)
            self._failing = True
        else:
            self._failing = False


def _parse(raw: bytes, what: str) -> tuple[RoleChange, ...]:
    """The changes of a file.

    Raises:
        ValueError: it is damaged.
        StateError: another version of this program wrote it.
    """
    return structured(unsealed(raw, VERSION, what), tuple[RoleChange, ...], _converter, what)
