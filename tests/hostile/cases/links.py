"""Links, pipes and names of other files: what is in the folder, and leads out of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

from sbs.core.attributes import Attributes, Owner
from sbs.core.manifest import Action, Operation
from sbs.core.messages import (
    Audit,
    Audited,
    Begin,
    Chunk,
    Committed,
    Failed,
    Message,
    Patch,
)
from sbs.replication.files.content import digest_of_content
from tests.hostile.arena import Arena
from tests.hostile.case import Case, Sends
from tests.hostile.peer import Peer, act, put
from tests.hostile.stages import BEGUN, CURRENT, DRESSED

LARGE: Final = bytes(range(256)) * 2048
"""What the sentinel tree has in its large file: more than is sent in one piece."""

XATTRS: Final = Attributes(
    owner=Owner(user="nobody", uid=65534, group="", gid=65534),
    xattrs=(("user.evil", b"yes"),),
)


def _linked(folder: Path, outside: Path) -> None:
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "file")
    (folder / "dangling").symlink_to(outside / "new")
    (folder / "parent").symlink_to("..")


def _shared(folder: Path, outside: Path) -> None:
    os.link(outside / "file", folder / "shared")
    os.link(outside / "large", folder / "large")
    os.link(outside / "program", folder / "program")


def _strange(folder: Path, _outside: Path) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        here = os.getcwd()
        os.chdir(folder)  # a path of a socket is short
        sock.bind("socket")
        os.chdir(here)


def _generation(*changes: tuple[Operation, bytes]) -> Sends:
    return lambda peer: peer.generation(*changes)


def _is_link(name: str) -> Callable[[Arena], object]:
    def check(arena: Arena) -> None:
        assert (arena.folder / name).is_symlink()

    return check


def _patched(path: str, content: bytes = LARGE) -> Sends:
    def sends(_peer: Peer) -> Sequence[Message]:
        digest = digest_of_content(content)
        size = len(content)
        return [Patch(stream=1, folder=0, path=path, digest=digest, size_bytes=size)]

    return sends


def _patched_and_put(peer: Peer) -> Sequence[Message]:
    """A patch of a file that has another name outside, and the file that comes of it."""
    changed = b"X" * 131_072 + LARGE[131_072:]
    operation = attrs.evolve(put("large", changed)[0], stream=1)
    patch = Patch(
        stream=1, folder=0, path="large", digest=digest_of_content(LARGE), size_bytes=len(LARGE)
    )
    begin, pack, commit = peer.generation((operation, b""))
    assert isinstance(begin, Begin)
    return [begin, patch, Chunk(1, changed[:131_072], 0, 0), pack, commit]


THROUGH: Final[dict[str, Sends]] = {
    "puts a file": _generation(put("link/file")),
    "puts a new file": _generation(put("link/new")),
    "puts a file over the link itself": _generation(put("file")),
    "puts a file over a link to nothing": _generation(put("dangling")),
    "makes a directory": _generation(act(Action.MKDIR, "link/new", mode=0o777)),
    "sets the mode of a directory": _generation(act(Action.MKDIR, "link/dir", mode=0o777)),
    "takes the link for a directory": _generation(act(Action.MKDIR, "link", mode=0o777)),
    "makes a link": _generation(act(Action.LINK, "link/new", target="x")),
    "sets mode and time": _generation(act(Action.TOUCH, "link/file", mode=0o777, mtime_ns=1)),
    "sets mode and time of the link itself": _generation(
        act(Action.TOUCH, "file", mode=0o777, mtime_ns=1)
    ),
    "deletes a file": _generation(act(Action.DELETE, "link/file")),
    "deletes a directory": _generation(act(Action.DELETE, "link/dir/deep")),
    "goes two steps": _generation(put("link/dir/deep/closed")),
    "climbs by the link": _generation(put("parent/beside")),
    "makes the directories on its way": _generation(put("link/a/b/c/new")),
}

CASES: Final = (
    *(
        Case(
            name=f"through a link that stands, a primary {what}",
            seen="A1",
            at=CURRENT,
            sends=sends,
            answer=Committed,
            prepare=_linked,
        )
        for what, sends in THROUGH.items()
    ),
    *(
        Case(
            name=f"through a link of the same generation, a primary {what}",
            seen="A3",
            at=CURRENT,
            sends=_generation(act(Action.LINK, "link", target="../../outside"), change),
            answer=Committed,
            then=_is_link("link"),
        )
        for what, change in {
            "puts a file": put("link/file"),
            "makes a directory": act(Action.MKDIR, "link/new"),
            "sets a mode": act(Action.TOUCH, "link/file", mode=0o777),
            "deletes a file": act(Action.DELETE, "link/file"),
        }.items()
    ),
    Case(
        name="a new directory with a link in it, and a file through that",
        seen="A3",
        at=CURRENT,
        sends=_generation(
            act(Action.MKDIR, "tree"),
            act(Action.LINK, "tree/link", target="../../../outside"),
            put("tree/link/file"),
            act(Action.MKDIR, "tree/link/dir", mode=0o777),
        ),
        answer=Committed,
        then=_is_link("tree/link"),
    ),
    Case(
        name="a new directory that a link replaces before its files come",
        seen="CVE-2026-29518",
        at=CURRENT,
        sends=_generation(
            act(Action.MKDIR, "tree"),
            act(Action.DELETE, "tree"),
            act(Action.LINK, "tree", target="../../outside"),
            put("tree/file"),
        ),
        answer=Committed,
    ),
    Case(
        name="owner and attributes through a link",
        seen="CVE-2026-88016",
        at=DRESSED,
        sends=_generation(
            act(Action.TOUCH, "link/file", mode=0o4777, attributes=XATTRS),
            act(Action.MKDIR, "link/dir", mode=0o777, attributes=XATTRS),
            act(Action.TOUCH, "file", mode=0o4777, mtime_ns=1, attributes=XATTRS),
            act(Action.MKDIR, "link", mode=0o777, attributes=XATTRS),
        ),
        answer=Committed,
        prepare=_linked,
    ),
    Case(
        name="owner of a link, not of what it points at",
        seen="A2",
        at=DRESSED,
        sends=_generation(
            act(
                Action.LINK,
                "own",
                target="../../outside/file",
                attributes=Attributes(owner=XATTRS.owner),
            )
        ),
        answer=Committed,
        then=_is_link("own"),
    ),
    *(
        Case(
            name=f"a patch {what}",
            seen="A1",
            at=BEGUN,
            sends=_patched(path),
            answer=Failed,
            text=path,
            prepare=prepare,
        )
        for what, path, prepare in (
            ("of a file through a link", "link/large", _linked),
            ("of a link", "file", _linked),
            ("of a pipe", "pipe", _strange),
            ("of a socket", "socket", _strange),
            ("of a directory", "dir", lambda folder, _: (folder / "dir").mkdir()),
            ("of what is not there", "nothing", _linked),
        )
    ),
    Case(
        name="an audit of what is no file of the folder",
        seen="A1",
        at=CURRENT,
        sends=lambda _: [Audit(0, ("link/file", "file", "parent", "link/dir/deep/closed"))],
        answer=Audited,
        text=r"^$",
        prepare=_linked,
    ),
    Case(
        name="an audit of a pipe and a socket",
        seen="A1",
        at=CURRENT,
        sends=lambda _: [Audit(0, ("pipe", "socket"))],
        answer=Audited,
        prepare=_strange,
    ),
    Case(
        name="files and directories where pipes and sockets are",
        seen="A1",
        at=CURRENT,
        sends=_generation(
            put("pipe"), act(Action.TOUCH, "socket", mode=0o777), act(Action.MKDIR, "socket")
        ),
        answer=Committed,
        prepare=_strange,
    ),
    *(
        Case(
            name=f"of a file with another name outside, a primary {what}",
            seen="A2",
            at=CURRENT,
            sends=sends,
            answer=Committed,
            prepare=_shared,
        )
        for what, sends in {
            "replaces the content": _generation(put("shared")),
            "patches the content": _patched_and_put,
            "sets mode and time": _generation(
                act(Action.TOUCH, "shared", mode=0o4777, mtime_ns=1),
                act(Action.TOUCH, "program", mode=0o777),
            ),
            "deletes the name": _generation(
                act(Action.DELETE, "shared"), act(Action.DELETE, "program")
            ),
        }.items()
    ),
    Case(
        name="owner and attributes of a file with another name outside",
        seen="A2",
        at=DRESSED,
        sends=_generation(act(Action.TOUCH, "shared", mode=0o4777, attributes=XATTRS)),
        answer=Committed,
        prepare=_shared,
    ),
    Case(
        name="a link to a target that no file system takes",
        seen="A5",
        at=CURRENT,
        sends=_generation(
            act(Action.LINK, "empty", target=""),
            act(Action.LINK, "long", target="ä" * 4096),
            act(Action.LINK, "odd", target="\x1b[2J\n\udcff"),
        ),
        answer=Committed,
        then=_is_link("odd"),
    ),
)
