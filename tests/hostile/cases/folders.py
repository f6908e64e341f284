"""Folders and filters that a primary tells of (R24): which a node takes, and where."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs

from sbs.core.manifest import FolderSpec
from sbs.core.messages import Failed, Folders, Listing, Message
from tests.hostile.case import Case, Sends
from tests.hostile.forge import fields_of, forged
from tests.hostile.peer import FOLDER, Peer
from tests.hostile.stages import CURRENT, WELCOMED

Place = Callable[[Path], str]
"""Makes a path, given the directory below which a test has everything."""


def _folder(name: str, place: Place) -> Sends:
    """Another folder, beside the one that the node's configuration names."""

    def sends(peer: Peer) -> Sequence[Message]:
        spec = FolderSpec(name=name, path=place(peer.base))
        return [Folders(peer.epoch, (FOLDER, spec))]

    return sends


PLACES: Final[dict[str, tuple[Place, str]]] = {
    "at the root of the machine": (lambda _: "/", "not allowed here"),
    "in the system's settings": (lambda _: "/etc", "not allowed here"),
    "that is relative": (lambda _: "accepted/in/x", "no absolute path"),
    "that is empty": (lambda _: "", "no absolute path"),
    "beside the allowed directory": (lambda base: f"{base}/accepted/beside", "not allowed here"),
    "whose name begins like the allowed one": (
        lambda base: f"{base}/accepted/inner",
        "not allowed here",
    ),
    "above the allowed directory": (lambda base: f"{base}/accepted", "not allowed here"),
    "that climbs out of the allowed directory": (
        lambda base: f"{base}/accepted/in/../../outside",
        "not allowed here",
    ),
    "behind a link out of the allowed directory": (
        lambda base: f"{base}/accepted/in/link/dir",
        "not allowed here",
    ),
    "that is a link out of the allowed directory": (
        lambda base: f"{base}/accepted/in/link",
        "not allowed here",
    ),
    "that climbs from behind a link": (
        lambda base: f"{base}/accepted/in/link/../x",
        "not allowed here",
    ),
    "in the state directory": (lambda base: f"{base}/alpha/state/journal", "not allowed here"),
    "that is the state directory, by a link": (
        lambda base: f"{base}/accepted/in/state",
        "not allowed here",
    ),
    "in another folder of this node": (
        lambda base: f"{base}/accepted/in/settings/x",
        "not allowed here",
    ),
    "on a device": (lambda _: "/dev/null", "not allowed here"),
    "in the kernel": (lambda _: "/proc/self/root", "not allowed here"),
    "on a file": (lambda base: f"{base}/accepted/in/file", "Not a directory|File exists"),
    "below a file": (lambda base: f"{base}/accepted/in/file/x", "Not a directory"),
    "with a name too long for a file system": (
        lambda base: f"{base}/accepted/in/{'x' * 256}",
        "too long",
    ),
    "with 2000 components": (lambda base: f"{base}/accepted/in/{'d/' * 1900}", "components"),
    "that a terminal obeys": (lambda _: "/srv/\x1b[2J\n", "not allowed here"),
}


def _planted(folder: Path, outside: Path) -> None:
    inside = outside.parent / "accepted" / "in"
    (inside / "link").symlink_to(outside)
    (inside / "state").symlink_to(outside.parent / "alpha" / "state")
    (inside / "settings").symlink_to(folder)
    (inside / "file").write_text("a file")


def _told(*specs: FolderSpec) -> Sends:
    return lambda peer: [Folders(peer.epoch, specs)]


def _many(peer: Peer) -> Sequence[Message]:
    """As many as there may be, each as deep as it may lie."""
    below = f"{peer.base}/accepted/in"
    deep = "/".join("d" * 50)
    specs = [
        FolderSpec(name=f"f{number}", path=f"{below}/{number}/{deep}") for number in range(256)
    ]
    specs[-1] = attrs.evolve(specs[-1], path=f"{below}/0")
    return [Folders(peer.epoch, tuple(specs))]


FIELDS: Final[dict[str, tuple[str, object]]] = {
    "a name with a slash": ("name", "../../etc"),
    "an empty name": ("name", ""),
    "a name of 65 characters": ("name", "n" * 65),
    "a name with control characters": ("name", "a\x1b[2J"),
    "a path with a NUL byte": ("path", "/srv/\0"),
    "a path over 4096 characters": ("path", "/" + "x" * 4096),
    "a filter that is a number": ("filters", [7]),
    "1001 filters": ("filters", ["- x"] * 1001),
    "hooks": ("hooks", {"update": [["reboot"]]}),
    "a flag that is a number": ("strict_delete", 1),
}


def _with(name: str, value: object) -> Sends:
    """Folders of which one has a field that no class allows."""

    def sends(peer: Peer) -> Sequence[bytes]:
        message = Folders(peer.epoch, (FOLDER,))
        (folder,) = fields_of(message)["folders"]
        return [forged(message, folders=[{**folder, name: value}])]

    return sends


FILTERS: Final[dict[str, tuple[str, ...]]] = {
    "without a sign": ("*.tmp",),
    "without an end": ("- [a",),
    "that climb": ("- ../x",),
    "that run backwards": ("- [z-a]",),
    "longer than a rule may be": ("- " + "x" * 1023,),
}

SLOW: Final[dict[str, str]] = {
    "stars": "- " + "*a" * 500,
    "double stars": "- **/" + "a/**/" * 30 + "b",
    "question marks": "- " + "?*" * 500,
    "sets": "- " + "[!b]*" * 200,
}


def _slow(rule: str) -> Sends:
    """A generation whose paths are held against a thousand such rules."""

    def sends(peer: Peer) -> Sequence[Message]:
        return [Folders(peer.epoch, (attrs.evolve(FOLDER, filters=(rule,) * 1000),))]

    return sends


def _folder_behind(folder: Path, outside: Path) -> None:
    """Files whose names make the slow filters slow."""
    deep = folder
    for _ in range(8):
        deep = deep / ("a" * 200)
    os.makedirs(deep)
    (deep / ("a" * 255)).touch()


CASES: Final = (
    *(
        Case(
            name=f"a folder {what}",
            seen="R24",
            at=WELCOMED,
            sends=_folder("learned", place),
            answer=Failed,
            text=text,
            prepare=_planted,
            accept_under=True,
        )
        for what, (place, text) in PLACES.items()
    ),
    Case(
        name="a folder that the node was never told to accept",
        seen="A6",
        at=WELCOMED,
        sends=_folder("other", lambda base: f"{base}/outside"),
        answer=Failed,
        text="not allowed here: add it under",
    ),
    Case(
        name="the most folders, one of them in another",
        seen="A20",
        at=WELCOMED,
        sends=_many,
        answer=Failed,
        text="overlaps",
        accept_under=True,
    ),
    Case(
        name="one folder twice",
        seen="A20",
        at=WELCOMED,
        sends=_told(FOLDER, FOLDER),
        answer=Failed,
        text="folder",
    ),
    Case(
        name="the same place under two names",
        seen="A20",
        at=WELCOMED,
        sends=lambda peer: [
            Folders(
                peer.epoch,
                tuple(
                    FolderSpec(name=name, path=f"{peer.base}/accepted/in/x") for name in ("a", "b")
                ),
            )
        ],
        answer=Failed,
        text="overlaps",
        accept_under=True,
    ),
    Case(
        name="no folder at all",
        seen="R24",
        at=WELCOMED,
        sends=_told(),
        answer=Listing,
    ),
    Case(
        name="other folders in the middle of a session",
        seen="A6",
        at=CURRENT,
        sends=_told(FOLDER),
        text="may not send Folders",
    ),
    *(
        Case(
            name=f"folder settings with {what}",
            seen="A6",
            at=WELCOMED,
            sends=_with(name, value),
            text="Folders",
        )
        for what, (name, value) in FIELDS.items()
    ),
    *(
        Case(
            name=f"filters {what}",
            seen="B62",
            at=WELCOMED,
            sends=_told(attrs.evolve(FOLDER, filters=filters)),
            answer=Failed,
            text="filter",
        )
        for what, filters in FILTERS.items()
    ),
    *(
        Case(
            name=f"a thousand filters of {what}",
            seen="B62",
            at=WELCOMED,
            sends=_slow(rule),
            answer=Listing,
            prepare=_folder_behind,
        )
        for what, rule in SLOW.items()
    ),
)
