"""What lies in a replicated folder's staging directory: lists of changes, kept files, blocks."""

from __future__ import annotations

import os
from typing import Final

from sbs.core.epoch import Epoch
from sbs.core.manifest import MAX_FILE_BYTES, MAX_MODE, MAX_TIME_NS, MIN_TIME_NS
from sbs.core.messages import Finding
from sbs.replication.files.places import Places
from sbs.replication.former import kept, past, undo
from sbs.replication.former.kept import QUARANTINE
from sbs.replication.former.past import VERSIONS, Mark
from sbs.runtime.updating import conflicts
from tests.fuzz.contract import MIB, Form, Target
from tests.fuzz.scratch import directory, scratch

_MARK: Final = Mark(epoch=Epoch(3, 1), number=41, name="3.1-41-0123abcd")


def list_changes(data: bytes) -> bool:
    """The list of what a generation has changed."""
    scratch(f"folder/{VERSIONS}/{_MARK.name}/{past.LIST_NAME}", data)
    scratch(f"folder/{VERSIONS}/{_MARK.name}/1", b"former")
    with Places([os.fspath(directory() / "folder")]) as places:
        found = past.summary(places, 0, _MARK)
        assert found is not None
        assert found.kept >= 0
        assert 0 <= found.at < past.MAX_AT
        changes = past.changes_of(places, 0, "a")
        for change in changes:
            assert not change.kept or change.kept.startswith(f"{VERSIONS}/{_MARK.name}/")
            assert ".." not in change.kept.split("/")
            assert 0 <= change.size_bytes <= MAX_FILE_BYTES
            assert MIN_TIME_NS <= change.mtime_ns <= MAX_TIME_NS
        past.versions_of(places, 0, "a")
    return found.whole or bool(changes)


def list_kept(data: bytes) -> bool:
    """The list of a quarantine; one that is named lies in it."""
    scratch(f"folder/{QUARANTINE}/{kept.LIST_NAME}", data)
    scratch(f"folder/{QUARANTINE}/3.1-41/a", b"kept")
    scratch("folder/a", b"outside")
    found = kept.standing("data", os.fspath(directory() / "folder"))
    inside = os.path.realpath(directory() / "folder" / QUARANTINE)
    for each in found:
        place = os.path.realpath(os.path.join(each.place, each.kept))
        assert os.path.commonpath([inside, place]) == inside, f"{each.kept!r} lies elsewhere"
        assert each.generation >= 0
        assert conflicts._own("alpha", each).kept.isprintable()
    return bool(found)


def read_blocks(data: bytes) -> bool:
    """Blocks of a former version, and the file that they make."""
    fd, target = os.memfd_create("blocks"), os.memfd_create("target")
    try:
        os.write(fd, data)
        found = undo.read(fd)
        undo.is_sound(fd, lambda: None)
        if found is None:
            return False
        assert found.whole_bytes == len(data)
        assert 0 <= found.size_bytes <= MAX_FILE_BYTES
        assert 0 <= found.mode <= MAX_MODE
        undo.revert(fd, found, target)
        return os.fstat(target).st_size == found.size_bytes
    finally:
        os.close(fd)
        os.close(target)


def tell_findings(data: bytes) -> bool:
    """Where a peer says that a version is kept."""
    text = data.decode("utf-8", "surrogateescape")[:4096]
    finding = Finding(folder="x", path=text, kept=text)
    told = conflicts._told("beta", finding)
    assert told.kept.isprintable()
    assert 0 <= told.generation < 10**19
    return told.generation > 0


TARGETS: Final = (
    Target(
        name="changes",
        run=list_changes,
        form=Form.TEXT,
        tokens=(
            b'{"path": "a",',
            b'"former": ',
            b"null",
            b"[" * 1100,
            b'"\\ud800"',
            b"1e999",
            b"NaN",
        ),
        held_bytes=2 * MIB,
        weight=3,
    ),
    Target(
        name="kept",
        run=list_kept,
        form=Form.TEXT,
        tokens=(b"/../", b"\\u0000", b"\\ud800", b"[" * 1100, b"true", b"-1", b"/", b"NaN"),
        held_bytes=2 * MIB,
        weight=3,
    ),
    Target(name="blocks", run=read_blocks, allowed=(OSError,), tokens=(b"SBSUNDO\x01",), weight=3),
    Target(
        name="findings",
        run=tell_findings,
        form=Form.TEXT,
        tokens=(f"{QUARANTINE}/3.1-".encode(), b"/a"),
        weight=1,
    ),
)
