"""Contents and deletes: bombs, streams, patches, chunks, and what a generation may remove."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from sbs.core.attributes import Attributes
from sbs.core.manifest import STAGING_NAME, Action, FolderSpec, Operation
from sbs.core.messages import (
    Abandon,
    Chunk,
    Committed,
    Failed,
    Message,
    Pack,
    Patch,
)
from tests.hostile.arena import Arena
from tests.hostile.case import LEAVES, Case, Sends, said
from tests.hostile.forge import forged_with
from tests.hostile.peer import FOLDER, Peer, act, put
from tests.hostile.stages import BEGUN, CURRENT, DRESSED, Stage

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PUT, CONTENT = put("x")
ZEROS: Final = bytes(1024 * 1024)


def _generation(*changes: tuple[Operation, bytes]) -> Sends:
    return lambda peer: peer.generation(*changes)


def _stream(*chunks: Message, **claimed: object) -> Sends:
    """Chunks, and a file that is said to be made of them."""
    operation = attrs.evolve(PUT, **claimed)  # type: ignore[arg-type]
    return lambda _: [*chunks, Pack((operation,), b"")]


def _bomb(size_bytes: int) -> bytes:
    """So many zeros, in a body that fits into a frame."""
    return zstd.compress(bytes(size_bytes), 1)


BOMBS: Final[dict[str, tuple[bytes, int]]] = {
    "with more in it than it says": (_bomb(2**24), 1024),
    "with less in it than it says": (_bomb(1024), 1024 * 1024),
    "with 64 megabytes in it": (_bomb(2**26), 1024 * 1024),
    "cut in the middle": (_bomb(2**20)[:-3], 2**20),
    "of two frames": (_bomb(1024) * 2, 1024),
    "that is none": (b"no zstd", 7),
}

STREAMS: Final[dict[str, tuple[Sends, str]]] = {
    "that never came": (_stream(stream=7), "no stream 7"),
    "with another content": (_stream(Chunk(1, b"other"), stream=1), "other content"),
    "that goes on after its end": (
        lambda _: [
            Chunk(1, CONTENT),
            Pack((attrs.evolve(PUT, stream=1),), b""),
            Chunk(1, b"more"),
        ],
        "after its end",
    ),
    "that goes back": (said(Chunk(2, b"x"), Chunk(1, b"x")), "must ascend"),
    "in another folder": (said(Chunk(1, b"x", 200)), "the session has"),
    "that patches no file": (said(Chunk(1, b"x", 0, 0)), "patches no file"),
    "for two files": (
        lambda _: [
            Chunk(1, CONTENT),
            Pack((attrs.evolve(PUT, stream=1), attrs.evolve(PUT, path="y", stream=1)), b""),
        ],
        "no stream 1",
    ),
    "that was a patch of another path": (
        lambda _: [
            Patch(stream=1, folder=0, path="y", digest=b"", size_bytes=3),
            Chunk(1, CONTENT, 0, 0),
            Pack((attrs.evolve(PUT, stream=1),), b""),
        ],
        "stream 1",
    ),
    "that begins twice": (
        lambda _: [
            Patch(stream=1, folder=0, path="x", digest=b"", size_bytes=3),
            Patch(stream=1, folder=0, path="x", digest=b"", size_bytes=3),
        ],
        "must ascend",
    ),
    "of a fragment that the node never told of": (
        lambda _: [Patch(stream=1, folder=0, path="x", digest=bytes(32), size_bytes=300_000)],
        "x",
    ),
}


def _many_streams(_peer: Peer) -> Sequence[Message]:
    """Streams that nobody claims: each may take room only until the next one begins."""
    return [Chunk(number, b"x" * 1000) for number in range(500)]


def _claimed_streams(peer: Peer) -> Sequence[Message]:
    """Streams that are claimed, and a generation that is never complete."""
    found: list[Message] = []
    for number in range(200):
        operation = attrs.evolve(PUT, path=f"f{number}", stream=number)
        found += [Chunk(number, CONTENT), Pack((operation,), b"")]
    return [*found, Abandon("enough")]


def _nothing_staged(arena: Arena) -> None:
    staging = arena.folder / STAGING_NAME
    names = os.listdir(staging) if staging.exists() else []
    assert [name for name in names if name.startswith(("stream-", "tree-", "fragment"))] == []


def _filled(folder: Path, _outside: Path) -> None:
    (folder / "only-here").write_text("of this node alone")
    (folder / "d").mkdir()
    (folder / "d" / "deep").write_text("of this node alone")


def _kept_somewhere(arena: Arena) -> None:
    """What an update deletes or replaces is in the staging directory still (B4, B21)."""
    kept = [path for path in (arena.folder / STAGING_NAME).rglob("*") if path.is_file()]
    assert sum(path.read_bytes() == b"of this node alone" for path in kept) >= 2


def _stands(arena: Arena) -> None:
    assert (arena.folder / "only-here").read_text() == "of this node alone"


def _with(spec: FolderSpec) -> Stage:
    """A primary between two updates, whose folder has these settings."""

    async def reach(peer: Peer) -> None:
        await peer.greet()
        await peer.welcome()
        await peer.tell_folders(spec)

    return Stage("a primary with other settings", reach, leads=True)


DELETES: Final = (act(Action.DELETE, "only-here"), act(Action.DELETE, "d/deep"))

CASES: Final = (
    *(
        Case(
            name=f"a compressed body {what}",
            seen="A7",
            at=BEGUN,
            sends=said(forged_with(body, Chunk(1, b"x"), raw_bytes=raw_bytes)),
            answer=Failed,
        )
        for what, (body, raw_bytes) in BOMBS.items()
    ),
    *(
        Case(
            name=f"a stream {what}",
            seen="A7",
            at=BEGUN,
            sends=sends,
            answer=Failed,
            text=text,
            then=_nothing_staged,
        )
        for what, (sends, text) in STREAMS.items()
    ),
    Case(
        name="500 streams that nobody claims",
        seen="A7",
        at=BEGUN,
        sends=lambda peer: [*_many_streams(peer), Abandon("enough")],
        answer=Failed,
        then=_nothing_staged,
    ),
    Case(
        name="200 streams of a generation that is given up",
        seen="A7",
        at=BEGUN,
        sends=_claimed_streams,
        answer=Failed,
        text="enough",
        then=_nothing_staged,
    ),
    Case(
        name="a peer that leaves in the middle of a stream",
        seen="A13",
        at=BEGUN,
        sends=said(Chunk(1, ZEROS)),
        answer=LEAVES,
        then=_nothing_staged,
    ),
    Case(
        name="what follows a refused content",
        seen="A7",
        at=BEGUN,
        sends=lambda peer: [
            Chunk(5, b"x"),
            Chunk(1, b"x"),
            *(Chunk(number, ZEROS) for number in range(6, 30)),
            Pack((PUT,), CONTENT),
            peer.commit((PUT,)),
        ],
        answer=Failed,
        text="must ascend",
        then=_nothing_staged,
    ),
    Case(
        name="all of a folder deleted",
        seen="A6",
        at=CURRENT,
        sends=_generation(*DELETES, act(Action.DELETE, "d")),
        answer=Committed,
        prepare=_filled,
        then=_kept_somewhere,
    ),
    Case(
        name="files that only this node has, replaced",
        seen="A6",
        at=CURRENT,
        sends=_generation(put("only-here"), put("d/deep")),
        answer=Committed,
        prepare=_filled,
        then=_kept_somewhere,
    ),
    Case(
        name="a directory deleted with what is in it",
        seen="A6",
        at=CURRENT,
        sends=_generation(act(Action.DELETE, "d")),
        answer=Committed,
        prepare=_filled,
        then=lambda arena: (arena.folder / "d" / "deep").read_text(),
    ),
    Case(
        name="a delete where the settings allow none",
        seen="CVE-2026-53789",
        at=_with(attrs.evolve(FOLDER, strict_delete=False)),
        sends=_generation(*DELETES),
        answer=Failed,
        text="strict_delete is off",
        prepare=_filled,
        then=_stands,
    ),
    Case(
        name="a delete of what a filter protects",
        seen="A21",
        at=_with(attrs.evolve(FOLDER, filters=("- only-here", "- d/"))),
        sends=_generation(*DELETES),
        answer=Failed,
        text="excluded, and would be deleted",
        prepare=_filled,
        then=_stands,
    ),
    Case(
        name="a filter that excludes what was there, and a file in its place",
        seen="A21",
        at=_with(attrs.evolve(FOLDER, filters=("- *",))),
        sends=_generation(put("only-here"), put("d/deep")),
        answer=Committed,
        prepare=_filled,
        then=_kept_somewhere,
    ),
    Case(
        name="what is not there deleted",
        seen="A6",
        at=CURRENT,
        sends=_generation(act(Action.DELETE, "nothing"), act(Action.DELETE, "nothing/below")),
        answer=Committed,
    ),
    Case(
        name="set-id bits without an owner",
        seen="A2",
        at=CURRENT,
        sends=_generation(put("program", mode=0o6755)),
        answer=Committed,
        then=lambda arena: _no_set_id(arena.folder / "program"),
    ),
    Case(
        name="owners and attributes in a folder without",
        seen="A2",
        at=CURRENT,
        sends=_generation(
            put("program", attributes=Attributes(xattrs=(("user.evil", b"yes"),)), mode=0o6755)
        ),
        answer=Committed,
        then=lambda arena: _no_set_id(arena.folder / "program"),
    ),
    Case(
        name="the time that is the farthest away",
        seen="A23",
        at=DRESSED,
        sends=_generation(
            put("early", mtime_ns=-(2**63)), put("late", b"late", mtime_ns=2**63 - 1)
        ),
        answer=Committed,
    ),
    Case(
        name="attributes that no file system takes",
        seen="A2",
        at=DRESSED,
        sends=_generation(
            put(
                "odd",
                attributes=Attributes(
                    xattrs=(
                        ("security.capability", b"nonsense"),
                        ("system.posix_acl_access", b"nonsense"),
                        ("trusted.overlay.redirect", b"/etc"),
                        ("user.large", bytes(65_536)),
                    )
                ),
            )
        ),
        answer=Committed,
    ),
)


def _no_set_id(path: Path) -> None:
    assert path.stat().st_mode & 0o6000 == 0
