"""The vote as a record in a file on a folder that both nodes share (B3).

Two nodes have no common clock, and a file server offers none. So nobody writes down *when* a vote
runs out. The holder counts its record up; whoever wants the vote looks, and if it sees one and the
same record for the whole time to live on its own clock, the holder has not renewed it for so long.

The record is read and changed under an exclusive lock of the file system, held for milliseconds,
and written in place: on NFS, a client that has a file open goes on reading the old content when
another renames a new one over it. What a crash leaves half written is a record like any other that
must not change while it is watched.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import struct
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, TypeVar, cast

import attrs
import trio

from sbs.errors import WitnessError
from sbs.ports import Vote, Witness, WitnessOptions

MAX_RECORD_BYTES: Final = 4096
"""Longest record: a name, three numbers and a checksum."""

LOCK_BOUND_S: Final = 0.5
"""How long a busy lock is tried for: it is held for milliseconds, unless its holder hangs."""

LOCK_INTERVAL_S: Final = 0.01

MAX_CALLS: Final = 2
"""Calls into the file system at a time: one that hangs must not take a new thread each time."""

_OFD_SETLK: Final = 37
"""F_OFD_SETLK: a lock of the open file, not of the process; Python 3.11 has no name for it."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


@attrs.frozen
class _Record:
    """Who has the vote; ``counter`` goes up with each renewal."""

    holder: str
    counter: int
    ttl_s: float

    def packed(self) -> bytes:
        """The bytes of the file: fixed in length, so that no old end is left behind."""
        body = json.dumps([self.holder, self.counter, self.ttl_s])
        text = json.dumps({"sbs": 1, "record": body, "sha256": _checksum(body)}) + "\n"
        return text.encode().ljust(MAX_RECORD_BYTES)


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
        return _Record(str(holder), int(counter), float(ttl_s))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


@attrs.frozen
class _Seen:
    """A record that is another's, and since when it has been the same."""

    raw: bytes
    since: float


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class FolderWitness:
    """A :class:`sbs.ports.Witness`; made by :func:`open_witness`."""

    def __init__(self, options: WitnessOptions) -> None:
        self._folder = options.path
        self._path = os.path.join(options.path, f"sbs-{options.pair}.lease")
        self._seen: _Seen | None = None
        self._calls = trio.CapacityLimiter(MAX_CALLS)

    async def acquire(self, holder: str, ttl_s: float, *, replaces: str = "") -> Vote:
        """See :meth:`sbs.ports.Witness.acquire`."""
        return await self._run(partial(self._acquire, holder, ttl_s, replaces))

    async def release(self, holder: str) -> None:
        """See :meth:`sbs.ports.Witness.release`."""
        await self._run(partial(self._release, holder))

    async def _run(self, work: Callable[[], T]) -> T:
        """Do something with the file in a thread: a shared folder may hang for minutes."""
        if self._calls.available_tokens == 0:
            await trio.lowlevel.checkpoint()
            raise WitnessError(f"{self._folder}: the shared folder hangs since the last call")
        try:
            return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._calls)
        except OSError as error:
            raise WitnessError(f"{self._path}: {error.strerror or error}") from error

    def _acquire(self, holder: str, ttl_s: float, replaces: str) -> Vote:
        with _Locked(self._path, create=True) as file:
            raw = file.read()
            record = _parse(raw)
            if not self._is_free(raw, record, holder, replaces, ttl_s):
                return Vote(granted=False, holder="" if record is None else record.holder)
            counter = 0 if record is None else record.counter
            file.write(_Record(holder, counter + 1, ttl_s).packed())
            self._seen = None
            return Vote(granted=True, holder=holder)

    def _is_free(
        self, raw: bytes, record: _Record | None, holder: str, replaces: str, ttl_s: float
    ) -> bool:
        """Whether ``holder`` may have the vote now."""
        if not raw.strip():
            return True
        if record is not None and (not record.holder or record.holder in {holder, replaces}):
            return True
        if self._seen is None or self._seen.raw != raw:
            self._seen = _Seen(raw, _now())
            return False
        lasts_s = ttl_s if record is None else max(record.ttl_s, ttl_s)
        return _now() >= self._seen.since + lasts_s

    def _release(self, holder: str) -> None:
        with _Locked(self._path, create=False) as file:
            record = _parse(file.read())
            if record is not None and record.holder == holder:
                file.write(_Record("", record.counter + 1, 0.0).packed())


class _Locked:
    """The file, opened anew and locked for the length of a ``with`` block."""

    def __init__(self, path: str, *, create: bool) -> None:
        self._path = path
        self._flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        self._fd = -1

    def __enter__(self) -> _Locked:
        self._fd = os.open(self._path, self._flags, 0o660)
        try:
            self._lock()
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._fd)  # and so unlock

    def _lock(self) -> None:
        lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        give_up_at = time.monotonic() + LOCK_BOUND_S
        while True:
            try:
                fcntl.fcntl(self._fd, _OFD_SETLK, lock)
            except (BlockingIOError, PermissionError) as error:
                if time.monotonic() >= give_up_at:
                    text = f"{self._path}: locked by another for over {LOCK_BOUND_S:g} s"
                    raise WitnessError(text) from error
            else:
                return
            time.sleep(LOCK_INTERVAL_S)

    def read(self) -> bytes:
        """What the file holds."""
        return os.pread(self._fd, MAX_RECORD_BYTES + 1, 0)

    def write(self, data: bytes) -> None:
        """Replace what the file holds, durably."""
        view = memoryview(data)
        offset = 0
        while offset < len(view):
            offset += os.pwrite(self._fd, view[offset:], offset)
        os.ftruncate(self._fd, len(view))
        os.fsync(self._fd)


@asynccontextmanager
async def open_witness(options: WitnessOptions) -> AsyncGenerator[Witness, None]:
    """Open the folder adapter: the entry point ``folder``.

    Args:
        options: the shared folder, and the name of the pair.
    """
    await trio.lowlevel.checkpoint()
    yield FolderWitness(options)
