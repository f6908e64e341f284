"""The vote as a record in a file on a folder that both nodes share (B3).

Two nodes have no common clock, and a file server offers none. So nobody writes down *when* a vote
runs out. The holder counts its record up; whoever wants the vote looks, and if it sees one and the
same record for the whole time to live on its own clock, the holder has not renewed it for so long.

The record is read and changed under an exclusive lock of the file system, held for milliseconds,
and written in place: on NFS, a client that has a file open goes on reading the old content when
another renames a new one over it. What nobody can be sure of has to stay the same while it is
watched, too, before it counts as nobody's: a record that a crash left half written, a file that is
empty, and even the own record where the lock may have been lost while it was written.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import stat
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar, cast

import attrs
import trio

from sbs.errors import ConfigError, WitnessError
from sbs.ports import Vote, Witness, WitnessOptions

if sys.platform == "linux":  # elsewhere open_witness says what is missing
    from sbs.adapters.witnesses.leasefile import MAX_FILE_BYTES, LeaseFile, now

MAX_CALLS: Final = 1
"""Calls into the file system at a time: one that hangs must not take a new thread each time."""

BUSY_BOUND_S: Final = 0.5
"""How long a call waits for the one before it: that one takes milliseconds, unless it hangs."""

FIRST_COUNTER_BITS: Final = 32
"""Where counting begins is random: a record that is lost must not come again byte by byte."""

T = TypeVar("T")


@attrs.frozen
class _Record:
    """Who has the vote, if anybody; ``counter`` goes up with each renewal."""

    holder: str
    counter: int
    ttl_s: float

    def packed(self) -> bytes:
        """The bytes of the file: fixed in length, so that no old end is left behind."""
        body = json.dumps([self.holder, self.counter, self.ttl_s])
        text = json.dumps({"sbs": 1, "record": body, "sha256": _checksum(body)}) + "\n"
        if len(text) > MAX_FILE_BYTES:
            raise WitnessError(f"a record of {len(text)} bytes: at most {MAX_FILE_BYTES} fit")
        return text.encode().ljust(MAX_FILE_BYTES)


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def _parse(raw: bytes) -> _Record | None:
    """The record in a file; ``None`` if it is damaged."""
    try:
        document: Any = json.loads(raw)
        body = document["record"]
        if document["sbs"] != 1 or document["sha256"] != _checksum(body):
            return None
        holder, counter, ttl_s = cast("list[Any]", json.loads(body))
        record = _Record(str(holder), int(counter), float(ttl_s))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return record if math.isfinite(record.ttl_s) else None


@attrs.frozen
class _Seen:
    """What the file held, and since when it has been the same."""

    raw: bytes
    since: float


class FolderWitness:
    """A :class:`sbs.ports.Witness`; made by :func:`open_witness`."""

    def __init__(self, options: WitnessOptions) -> None:
        self._folder = options.path
        self._path = os.path.join(options.path, f"sbs-{options.pair}.lease")
        self._calls = trio.CapacityLimiter(MAX_CALLS)
        # What follows belongs to the one thread that has the limiter's token.
        self._seen: _Seen | None = None
        self._fresh: bool | None = None
        self._doubted = b""

    async def acquire(self, holder: str, ttl_s: float, *, replaces: str = "") -> Vote:
        """See :meth:`sbs.ports.Witness.acquire`."""
        return await self._run(partial(self._acquire, holder, ttl_s, replaces))

    async def release(self, holder: str) -> None:
        """See :meth:`sbs.ports.Witness.release`."""
        await self._run(partial(self._release, holder))

    async def _run(self, work: Callable[[], T]) -> T:
        """Do something with the file in a thread: a shared folder may hang for minutes."""
        with trio.move_on_after(BUSY_BOUND_S) as turn:
            await self._calls.acquire_on_behalf_of(turn)
        if turn.cancelled_caught:
            raise WitnessError(f"{self._folder}: the shared folder hangs since the last call")
        self._calls.release_on_behalf_of(turn)
        try:
            return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._calls)
        except OSError as error:
            raise WitnessError(f"{self._path}: {error.strerror or error}") from error

    def _acquire(self, holder: str, ttl_s: float, replaces: str) -> Vote:
        self._check_folder()
        with LeaseFile(self._path, create=True) as file:
            raw = file.read()
            record = _parse(raw)
            self._fresh = not raw and self._is_ours(file)
            if not (
                self._fresh
                or self._is_given(raw, record, holder, replaces)
                or self._has_run_out(raw, record, ttl_s)
            ):
                return Vote(granted=False, holder="" if record is None else record.holder)
            counter = secrets.randbits(FIRST_COUNTER_BITS) if record is None else record.counter
            self._write(file, _Record(holder, counter + 1, ttl_s))
            return Vote(granted=True, holder=holder)

    def _is_ours(self, file: LeaseFile) -> bool:
        """Whether this client has made the file, which it had never met before."""
        return file.is_new if self._fresh is None else self._fresh and not file.is_new

    def _check_folder(self) -> None:
        """The vote is no vote where it is not on the share, or where everybody can give it away.

        An empty mount point looks like a share on which nobody has asked for the vote yet.
        """
        if os.path.ismount(os.path.realpath(self._folder)):
            raise WitnessError(
                f"{self._folder}: is a mount point, which stays when nothing is mounted on it, and "
                "would be taken for the share; name a folder on the share"
            )
        if os.stat(self._folder).st_mode & stat.S_IWOTH:
            raise WitnessError(
                f"{self._folder}: everybody can write to it, and so give the vote away; give the "
                "folder to the account of SBS, and run chmod o-w on it"
            )

    def _is_given(self, raw: bytes, record: _Record | None, holder: str, replaces: str) -> bool:
        """Whether the record itself lets ``holder`` have the vote."""
        if record is None or raw == self._doubted:
            return False
        return not record.holder or record.holder in {holder, replaces}

    def _has_run_out(self, raw: bytes, record: _Record | None, ttl_s: float) -> bool:
        """Whether the file has been the same for the whole time to live."""
        if self._seen is None or self._seen.raw != raw:
            self._seen = _Seen(raw, now())
            return False
        lasts_s = ttl_s if record is None else max(record.ttl_s, ttl_s)
        return now() >= self._seen.since + lasts_s

    def _write(self, file: LeaseFile, record: _Record) -> None:
        """Write a record; until that has succeeded in time, it is none of ours."""
        trio.from_thread.check_cancelled()  # what was given up must not happen later
        self._fresh = False
        self._doubted = record.packed()
        file.write(self._doubted)
        self._doubted = b""

    def _release(self, holder: str) -> None:
        self._check_folder()
        with LeaseFile(self._path, create=False) as file:
            raw = file.read()
            record = _parse(raw)
            if record is not None and record.holder == holder and raw != self._doubted:
                self._write(file, _Record("", record.counter + 1, 0.0))


@asynccontextmanager
async def open_witness(options: WitnessOptions) -> AsyncGenerator[Witness, None]:
    """Open the folder adapter: the entry point ``folder``.

    Args:
        options: the shared folder, and the name of the pair.

    Raises:
        ConfigError: this system has no locks and no clock that it could rely on.
    """
    await trio.lowlevel.checkpoint()
    if sys.platform != "linux":
        raise ConfigError(
            f'witness.adapter = "folder": needs Linux, not {sys.platform}; use "etcd"'
        )
    yield FolderWitness(options)
