"""Names and paths: what may not name an entry, and odd ones that may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sbs.core.manifest import Action, Entry, Kind
from sbs.core.messages import Audit, Committed, Fragment, Listing, Pack, Patch
from tests.hostile.arena import Arena
from tests.hostile.case import Case, Sends
from tests.hostile.forge import forged, with_row
from tests.hostile.peer import act, put
from tests.hostile.stages import BEGUN, CURRENT, FOLLOWING

BAD: Final[dict[str, object]] = {
    "climbs": "../outside/file",
    "climbs in the middle": "a/../../outside/file",
    "is the parent": "..",
    "is absolute": "/etc/passwd",
    "is empty": "",
    "is the root": ".",
    "begins with a dot component": "./file",
    "has an empty component": "a//file",
    "ends with a slash": "a/",
    "holds a NUL byte": "file\0.txt",
    "has a component of 256 bytes": "x" * 256,
    "has 4097 bytes": "a/" * 2048 + "x",
    "lies in SBS's own directory": ".sbs.staging/quarantine/list.jsonl",
    "is SBS's own directory": ".sbs.staging",
    "is a number": 7,
    "is binary": b"file",
    "is nothing": None,
}

ODD: Final[dict[str, str]] = {
    "of a drive": "C:\\Windows\\x",
    "that climbs elsewhere": "..\\..\\file",
    "of a stream": "name:stream",
    "of a device elsewhere": "NUL",
    "of a device with an ending": "CON.c",
    "that ends with a dot": "file.",
    "that ends with a space": "file ",
    "of an 8.3 alias": "GIT~1",
    "of a share": "\\\\host\\share",
    "with shell syntax": "$(touch hacked);`id`|x && y",
    "of an option": "-rf",
    "with lines": "one\ntwo\r\n",
    "that a terminal obeys": "\x1b]0;owned\x07\x1b[2J",
    "that turns the reading direction": "\u202etxt.exe",
    "that is not UTF-8": "\udcff\udcfe",
    "that looks like staging": ".sbs.staging.put",
    "that looks like staging elsewhere": "a/.sbs.staging",
}

PUT, CONTENT = put("x")
ENTRY: Final = Entry(path="x", kind=Kind.FILE)


def _put(path: object) -> Sends:
    return lambda _: [with_row(Pack((PUT,), CONTENT), "operations", 2, path)]


def _listed(path: object) -> Sends:
    return lambda _: [with_row(Listing(folder=0, entries=(ENTRY,)), "entries", 0, path)]


def _stands(name: str, content: bytes) -> Callable[[Arena], object]:
    def check(arena: Arena) -> None:
        assert (arena.folder / name).read_bytes() == content

    return check


def _odd(path: str) -> Sends:
    above = [act(Action.MKDIR, "a")] if "/" in path else []
    return lambda peer: peer.generation(*above, put(path, b"odd"))


CASES: Final = (
    *(
        Case(
            name=f"a file to put whose path {what}",
            seen="A4",
            at=BEGUN,
            sends=_put(path),
            text=r"Pack\.operations\[0\]",
        )
        for what, path in BAD.items()
    ),
    *(
        Case(
            name=f"a listed file whose path {what}",
            seen="A4",
            at=FOLLOWING,
            sends=_listed(path),
            text=r"Listing\.entries\[0\]",
        )
        for what, path in BAD.items()
    ),
    *(
        Case(
            name=f"a file with a name {what}",
            seen="A10" if not path.isprintable() or "$" in path else "A5",
            at=CURRENT,
            sends=_odd(path),
            answer=Committed,
            then=_stands(path, b"odd"),
        )
        for what, path in ODD.items()
    ),
    Case(
        name="a patch of a file outside",
        seen="A4",
        at=BEGUN,
        sends=lambda _: [
            forged(
                Patch(stream=0, folder=0, path="x", digest=b"", size_bytes=1),
                path="../outside/large",
            )
        ],
        text="Patch",
    ),
    Case(
        name="an audit of a file outside",
        seen="A4",
        at=CURRENT,
        sends=lambda _: [forged(Audit(0, ("x",)), paths=["x", "../outside/file"])],
        text="Audit",
    ),
    Case(
        name="a fragment of a file outside",
        seen="A4",
        at=FOLLOWING,
        sends=lambda _: [
            forged(
                Fragment(folder=0, path="x", size_bytes=1, digest=bytes(32)),
                path="../outside/large",
            )
        ],
        text="Fragment",
    ),
    Case(
        name="one name for a file and a directory in one generation",
        seen="A16",
        at=CURRENT,
        sends=lambda peer: peer.generation(
            put("both"), act(Action.DELETE, "both"), act(Action.MKDIR, "both"), put("both/file")
        ),
        answer=Committed,
    ),
    Case(
        name="a file named like a directory that is deleted around it",
        seen="A16",
        at=CURRENT,
        sends=lambda peer: peer.generation(
            act(Action.MKDIR, "d"), put("d/f"), act(Action.DELETE, "d"), act(Action.DELETE, "d/f")
        ),
        answer=Committed,
    ),
    Case(
        name="directories in each other, 400 deep",
        seen="A5",
        at=CURRENT,
        sends=lambda peer: peer.generation(
            *(act(Action.MKDIR, "/".join("d" * depth)) for depth in range(1, 401))
        ),
        answer=Committed,
    ),
)
