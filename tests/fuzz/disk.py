"""A whole generation of a leader onto a real folder: nothing but the folder ever changes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Final

from sbs.core.codec import decode
from sbs.core.epoch import Epoch
from sbs.core.frames import Frame
from sbs.core.history import History
from sbs.core.manifest import STAGING_NAME, Action, FolderSpec
from sbs.core.messages import Begin, Chunk, Commit, Pack, Patch
from sbs.errors import RemoteProtocolError, ReplicationError, StateError
from sbs.replication.files.content import digest_of_content
from sbs.replication.files.index import Index
from sbs.replication.following.target import Target as Follower
from sbs.replication.seal import Seal
from tests.fuzz.contract import KIB, MIB, Form, Target, packed, shaped, unpacked
from tests.fuzz.scratch import directory
from tests.hostile.sentinel import build, differences, snapshot

EPOCH: Final = Epoch(1, 0)
PUT: Final = Action.PUT.value


def take_generation(data: bytes) -> bool:
    """Messages of an update, in msgpack: arrays of type, head, body; digests are made to fit.

    What is refused leaves the folder as it was; whatever comes, all that lies beside it stays.
    """
    base = directory() / "generation"
    shutil.rmtree(base, ignore_errors=True)
    outside, folder, state = base / "outside", base / "folder", base / "state"
    for place in (outside, folder, state):
        place.mkdir(parents=True)
    build(outside)
    _furnish(folder)
    with shaped():
        messages = _messages(unpacked(data), outside)
    before = snapshot(outside), _look(folder)
    index = Index(f"{state}/index", boot="a")
    try:
        follower = Follower(os.fspath(state), index)
        try:
            return _follow(follower, folder, messages, before[1])
        finally:
            follower.close()
    finally:
        index.close()
        assert not differences(before[0], snapshot(outside)), "something outside has changed"
        assert {*os.listdir(base)} == {"outside", "folder", "state"}


def _furnish(folder: Path) -> None:
    (folder / "d" / "e").mkdir(parents=True)
    (folder / "d" / "f").write_bytes(b"former")
    (folder / "g").write_bytes(b"former")
    (folder / "out").symlink_to("../outside")
    os.link(folder / "g", folder / "h")


def _look(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Modes and contents, links not followed."""
    found: dict[str, tuple[int, bytes]] = {}
    for place, directories, files in os.walk(folder):
        if STAGING_NAME in directories:
            directories.remove(STAGING_NAME)
        for name in (*directories, *files):
            path = Path(place, name)
            status = path.lstat()
            is_file = path.is_file() and not path.is_symlink()
            content = path.read_bytes() if is_file and status.st_size < MIB else b""
            found[os.fspath(path)] = status.st_mode, content
    return found


def _messages(said: Any, outside: Path) -> list[Pack | Chunk | Patch]:
    found: list[Pack | Chunk | Patch] = []
    streams: dict[int, bytes] = {}
    for number, head, body in said:
        head = dict(head)
        if number == 9:
            head["operations"] = [*_fitting(head["operations"], body, streams, outside)]
        message = decode(Frame(number, packed(head), body))
        if isinstance(message, Chunk) and message.at < 0:
            streams[message.stream] = streams.get(message.stream, b"") + message.body
        if isinstance(message, Pack | Chunk | Patch):
            found.append(message)
    return found


def _fitting(operations: Any, body: bytes, streams: dict[int, bytes], outside: Path) -> Any:
    """Operations whose digests are right: whoever is hostile can reckon. Links lead to the bait."""
    position = 0
    for operation in operations:
        row = [*operation]
        if row[1] == PUT and row[8] is None:
            row[6] = digest_of_content(body[position : position + row[5]])
            position += row[5]
        elif row[1] == PUT and row[8] in streams:
            row[6] = digest_of_content(streams[row[8]])
        if isinstance(row[7], str) and row[7].startswith("/"):
            row[7] = f"{outside}{row[7]}"
        yield row


def _follow(
    follower: Follower,
    folder: Path,
    messages: list[Pack | Chunk | Patch],
    before: dict[str, tuple[int, bytes]],
) -> bool:
    spec = FolderSpec(
        name="data", path="/a", strict_delete=True, preserve_mtime=True, owner=True, xattr=True
    )
    follower.open([spec], [os.fspath(folder)])
    list(follower.listing(_go_on))
    seal, history = Seal(), History()
    try:
        follower.begin(Begin(EPOCH, 1))
        for message in messages:
            follower.take(message, _go_on)
            if isinstance(message, Pack):
                seal.add(message.operations)
        commit = Commit(generation=seal.generation(EPOCH, history, ()), operations=seal.count)
        record = follower.commit(commit, history, _go_on)
    except ReplicationError:
        follower.abandon()
        assert _look(folder) == before, "what was refused has changed the folder"
        raise
    follower.apply(record, _go_on)
    assert _look(folder) or not before
    return True


def _go_on() -> None:
    """Cancels nothing."""


TARGETS: Final = (
    Target(
        name="generation",
        run=take_generation,
        allowed=(ReplicationError, StateError, RemoteProtocolError),
        form=Form.MSGPACK,
        longest_bytes=16 * KIB,
        held_bytes=128 * MIB,
        weight=8,
    ),
)
