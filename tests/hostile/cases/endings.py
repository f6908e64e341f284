"""Connections that end, hang or flood, at every point of a conversation."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from sbs.core.claim import Pause
from sbs.core.codec import encode
from sbs.core.frames import PREAMBLE
from sbs.core.manifest import Entry, Kind
from sbs.core.messages import (
    Abandon,
    Code,
    Failed,
    Folders,
    Heartbeat,
    Listing,
    Message,
    Refused,
    SetPause,
)
from tests.hostile.case import CLOSED, LEAVES, QUIET, Case, said
from tests.hostile.peer import FOLDER, Peer
from tests.hostile.stages import (
    ASKED,
    BEGUN,
    CALLED,
    CURRENT,
    FOLLOWING,
    GREETED,
    IN_STEP,
    INTRUDED,
    INTRUDING,
    LISTING,
    PROPOSED,
    SILENT,
    UPDATED,
    WELCOMED,
    Stage,
)

STAGES: Final[tuple[Stage, ...]] = (
    SILENT,
    CALLED,
    GREETED,
    ASKED,
    FOLLOWING,
    LISTING,
    UPDATED,
    PROPOSED,
    IN_STEP,
    WELCOMED,
    CURRENT,
    BEGUN,
    INTRUDING,
    INTRUDED,
)

FILE: Final = Entry(path="x", kind=Kind.FILE)

HALF: Final = encode(Heartbeat(1))[:-1]


def _begins(stage: Stage) -> bytes:
    """What comes before the first frame, where nothing was said yet."""
    return PREAMBLE if stage in (SILENT, CALLED, INTRUDING) else b""


def _pauses(_peer: Peer) -> Sequence[Message]:
    return [SetPause(Pause(serial, on=serial % 2 == 0)) for serial in range(1, 2001)]


async def _updates(peer: Peer) -> None:
    """Updates that fail, one after the other, each for another reason."""
    for number in range(20):
        await peer.send(peer.begin(), Abandon(f"reason {number}"))
        await peer.until(Failed)


async def _never_read(peer: Peer) -> None:
    """Speak on, and read nothing: the node gives up what it cannot say."""
    with contextlib.suppress(trio.BrokenResourceError):
        while True:
            await peer.stream.send_all(encode(Heartbeat(1)))
            await trio.sleep(0.01)


async def _tell_and_never_read(peer: Peer) -> None:
    await peer.send(Folders(peer.epoch, (FOLDER,)))
    await _never_read(peer)


async def _list_and_never_read(peer: Peer) -> None:
    await peer.list_nothing()
    await _never_read(peer)


def _large(folder: Path, _outside: Path) -> None:
    (folder / "large").write_bytes(random.Random(1).randbytes(1024 * 1024))  # it does not shrink


def _many(folder: Path, _outside: Path) -> None:
    for number in range(1000):
        (folder / f"{number:03}{'n' * 200}").touch()


CASES: Final = (
    Case(
        name="a secondary that never reads what comes",
        seen="A8",
        at=FOLLOWING,
        plays=_list_and_never_read,
        answer=LEAVES,
        prepare=_large,
        logged="takes no messages",
    ),
    Case(
        name="a primary that never reads the listing",
        seen="A8",
        at=WELCOMED,
        plays=_tell_and_never_read,
        answer=LEAVES,
        prepare=_many,
        logged="takes no messages",
    ),
    *(
        Case(name=f"{stage.name}, closes", seen="A7", at=stage, sends=said(), answer=LEAVES)
        for stage in STAGES
    ),
    *(
        Case(
            name=f"{stage.name}, closes in the middle of a frame",
            seen="A7",
            at=stage,
            sends=said(_begins(stage) + HALF),
            answer=LEAVES,
        )
        for stage in STAGES
    ),
    *(
        Case(
            name=f"{stage.name}, refuses",
            seen="A7",
            at=stage,
            sends=said(_begins(stage) + encode(Refused(Code.BUSY, "no"))),
            answer=CLOSED,
        )
        for stage in STAGES
    ),
    *(
        Case(
            name=f"{stage.name}, sends garbage",
            seen="A8",
            at=stage,
            sends=said(bytes(range(256)) * 300),
            text="does not speak SBS|frame of type|msgpack",
        )
        for stage in STAGES
    ),
    *(
        Case(
            name=f"{stage.name}, sends 5000 heartbeats",
            seen="A8",
            at=stage,
            sends=said(*[encode(Heartbeat(2**62, 2**62)) * 1000] * 5),
            answer=QUIET,
        )
        for stage in (FOLLOWING, IN_STEP, CURRENT, BEGUN)
    ),
    Case(
        name="a secondary pauses and resumes 2000 times",
        seen="B6",
        at=IN_STEP,
        sends=lambda peer: [*_pauses(peer), SetPause(Pause(3000, on=False))],
        answer=QUIET,
    ),
    Case(
        name="a primary pauses and resumes 2000 times",
        seen="B6",
        at=CURRENT,
        sends=lambda peer: [*_pauses(peer), SetPause(Pause(3000, on=False))],
        answer=QUIET,
    ),
    Case(
        name="a primary begins 20 updates and gives each up",
        seen="A10",
        at=CURRENT,
        plays=_updates,
        answer=QUIET,
    ),
    Case(
        name="a listing byte by byte",
        seen="A8",
        at=FOLLOWING,
        sends=lambda _: [bytes([byte]) for byte in encode(Listing(folder=0, entries=(FILE,)))],
        answer=QUIET,
    ),
    Case(
        name="200 listings of nothing",
        seen="A8",
        at=FOLLOWING,
        sends=lambda _: [Listing(folder=0)] * 200,
        answer=QUIET,
    ),
    Case(
        name="entries of one directory that come apart",
        seen="A8",
        at=FOLLOWING,
        sends=lambda _: [
            Listing(
                folder=0,
                entries=tuple(
                    Entry(path=path, kind=kind)
                    for path, kind in (
                        ("a", Kind.DIRECTORY),
                        ("a/x", Kind.FILE),
                        ("b", Kind.FILE),
                    )
                ),
            )
        ],
        answer=CLOSED,
    ),
    Case(
        name="entries before their directory",
        seen="A8",
        at=FOLLOWING,
        sends=lambda _: [Listing(folder=0, entries=(Entry(path="a/b/c", kind=Kind.FILE),))],
        answer=CLOSED,
    ),
    Case(
        name="8192 entries of the longest names",
        seen="A8",
        at=FOLLOWING,
        sends=lambda _: [
            Listing(
                folder=0,
                entries=tuple(
                    Entry(path=f"{number:04}" + "n" * 200, kind=Kind.SYMLINK, target="t" * 4)
                    for number in range(8192)
                ),
            )
        ],
        answer=QUIET,
    ),
)
