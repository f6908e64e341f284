"""The notices that wait to be sent: one file each below ``state_dir/mail`` (B50).

A notice is removed only when it was taken for every receiver, so a crash at any time costs
nothing but a message that comes twice, with one id.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

import attrs
import trio
from cattrs.preconf.json import make_converter

from sbs.core.notice import Notice
from sbs.errors import StateError
from sbs.log import ERROR, WARNING, Log
from sbs.runtime.lasting.records import (
    sealed,
    structured,
    sync_directory,
    unsealed,
    write_durably,
)

VERSION: Final = 1
"""Of a file's form; another one is left alone, not guessed."""

MAX_ENTRIES: Final = 100
"""Notices that wait: more than anybody reads when mail works again after a week."""

MAX_ENTRY_BYTES: Final = 256 * 1024
"""Largest file read: the texts of a notice are bounded, and JSON may write six bytes for one."""

_SUFFIX: Final = ".json"
_DAMAGED: Final = ".damaged"
_TOLD: Final = "told"

_converter = make_converter(detailed_validation=False)
_log = Log(__name__)
_CROWDED = _log.event(
    "mail-crowded",
    ERROR,
    "mail: over {limit} messages wait; {notice} is given up",
    "The mail server has not taken anything for long; the least important message is "
    "dropped. See the alarm `mail-failed`.",
)
_KEPT = _log.event(
    "mail-not-removed",
    WARNING,
    "mail: {path} cannot be removed: {error}",
    "The message in this file was sent, and would be sent again at the next start. Mend "
    "the disk, or remove the file.",
)
_UNWRITTEN = _log.event(
    "mail-not-remembered",
    WARNING,
    "mail: {path} cannot be written: {error}",
    "After a crash a message would be sent a second time. Mend the disk.",
)


@attrs.frozen(kw_only=True)
class Entry:
    """A notice that waits.

    Args:
        notice: to be sent.
        done: the receivers who have it.
    """

    notice: Notice
    done: tuple[str, ...] = ()


class Outbox:
    """The queue of one node: in memory, where it is worked on, and file by file on the disk.

    What the disk refuses is in memory all the same, and is sent from there.

    Args:
        state_dir: of the node, locked.
    """

    def __init__(self, state_dir: str) -> None:
        self._directory = os.path.join(state_dir, "mail")
        self._entries: dict[str, Entry] = {}
        self._disk = trio.Lock()
        self.set_aside: tuple[str, ...] = ()
        """Files that cannot be sent, a line each: what they are and why."""
        self.told: int = 0
        """Number of the newest primacy of this node that needs no further message."""
        self.dropped: int = 0
        """Notices that were given up since the start, for want of room."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What waits: the important first, then the oldest."""
        return tuple(sorted(self._entries.values(), key=_order))

    def get(self, notice_id: str) -> Entry | None:
        """The notice of this id, if it waits."""
        return self._entries.get(notice_id)

    async def load(self) -> None:
        """Read what an earlier process left; what is damaged is set aside and named.

        Raises:
            StateError: the directory cannot be made or read.
        """
        async with self._disk:
            found, self.set_aside = await trio.to_thread.run_sync(_read_all, self._directory)
            told = await trio.to_thread.run_sync(_read_told, self._directory)
        self.told = max(told, self.told)
        self._entries = {**found, **self._entries}

    async def put(self, entry: Entry) -> None:
        """Add a notice, or replace the one of the same id; on return it survives a power cut.

        Where there is no room the oldest of the least important is given up, and logged.

        Raises:
            StateError: it is in memory only; the text says why.
        """
        self._entries[entry.notice.id] = entry
        if len(self._entries) > MAX_ENTRIES:
            lost = min(self._entries.values(), key=_worth)
            self.dropped += 1
            _CROWDED(limit=MAX_ENTRIES, notice=lost.notice.id)
            await self.remove(lost.notice.id)
        path = self._path(entry.notice.id)
        async with self._disk:
            if self._entries.get(entry.notice.id) is not entry:
                return  # replaced, or given up, meanwhile
            try:
                await trio.to_thread.run_sync(_write, path, entry)
            except OSError as error:
                raise StateError(
                    f"{path}: cannot be written: {error.strerror}; SBS needs room there, and leave"
                ) from error

    async def remove(self, notice_id: str) -> None:
        """A notice is not wanted any more.

        A file that cannot be removed is sent again by the next process, with the same id.
        """
        self._entries.pop(notice_id, None)
        path = self._path(notice_id)
        async with self._disk:
            try:
                await trio.to_thread.run_sync(_remove, path)
            except OSError as error:
                _KEPT(path=path, error=error.strerror)

    async def tell(self, primacy: int) -> None:
        """Remember, over a crash too, that a primacy needs no further message.

        What cannot be written is told again by the next process, with the same id.

        Args:
            primacy: number of its epoch.
        """
        if primacy <= self.told:
            return
        self.told = primacy
        path = os.path.join(self._directory, _TOLD)
        async with self._disk:
            try:
                await trio.to_thread.run_sync(write_durably, path, str(primacy).encode())
            except OSError as error:
                _UNWRITTEN(path=path, error=error.strerror)

    def _path(self, notice_id: str) -> str:
        return os.path.join(self._directory, notice_id + _SUFFIX)


def _order(entry: Entry) -> tuple[int, float]:
    return entry.notice.kind.rank, entry.notice.at


def _worth(entry: Entry) -> tuple[int, float]:
    """The least is given up first: the oldest of the least important."""
    return -entry.notice.kind.rank, entry.notice.at


# What a worker thread does.


def _write(path: str, entry: Entry) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    write_durably(path, sealed(_converter.unstructure(entry), VERSION))


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return  # it never reached the disk
    sync_directory(os.path.dirname(path))


def _read_all(directory: str) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """The entries by id, and what is no entry, a line each.

    Raises:
        StateError: the directory cannot be made or read.
    """
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        names = sorted(os.listdir(directory))
    except OSError as error:
        raise StateError(
            f"{directory}: {error.strerror}; SBS needs to read and write there"
        ) from error
    entries: dict[str, Entry] = {}
    aside: list[str] = []
    for name in names:
        path = os.path.join(directory, name)
        if name.endswith(_DAMAGED):
            aside.append(f"{path}: set aside by an earlier start")
        elif name.endswith(_SUFFIX):
            entry = _read(path, name.removesuffix(_SUFFIX), aside)
            if entry is not None:
                entries[entry.notice.id] = entry
        elif name == _TOLD:
            continue
        else:  # a write that a crash interrupted: what it was to replace stands
            with suppress(OSError):
                os.unlink(path)
    return entries, tuple(aside)


def _read_told(directory: str) -> int:
    """The newest primacy told of; 0 if that is not known."""
    try:
        with open(os.path.join(directory, _TOLD), "rb") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return 0


def _read(path: str, notice_id: str, aside: list[str]) -> Entry | None:
    try:
        with open(path, "rb") as file:
            return _parse(file.read(MAX_ENTRY_BYTES + 1), notice_id)
    except StateError as error:
        aside.append(f"{path}: {error}")
    except OSError as error:
        aside.append(f"{path}: {error.strerror}")
    except ValueError as error:
        aside.append(f"{path}: damaged ({error}); set aside as {path}{_DAMAGED}")
        with suppress(OSError):
            os.rename(path, path + _DAMAGED)
    return None


def _parse(raw: bytes, notice_id: str) -> Entry:
    """Read a file's content.

    Raises:
        ValueError: it is damaged.
        StateError: another version of this program wrote it.
    """
    entry = structured(unsealed(raw, VERSION, "message"), Entry, _converter, "message")
    if entry.notice.id != notice_id:
        raise ValueError(f"it holds the message {entry.notice.id}")
    return entry
