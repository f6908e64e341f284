"""What hinders a generation: it fails as a whole, or is completed once it is committed (B20)."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from sbs.core.manifest import Action, Operation
from sbs.core.messages import Begin, Chunk, Commit, Pack, Patch
from sbs.errors import ReplicationError
from sbs.replication.files.content import BLOCK_BYTES, digest_of_content
from sbs.replication.files.places import Places, sync_file_system
from sbs.replication.following.target import CommitRecord, Target
from sbs.replication.former.restoring import find, put_back
from sbs.replication.former.versions import Versions
from sbs.replication.leading.source import Source
from sbs.replication.receiving import staging
from sbs.replication.receiving.overlay import fill
from sbs.replication.seal import Seal
from tests.replication.rig import Pair, proceed, read, write
from tests.support import require

Mount = Callable[[str, str], None]


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest file that is patched is changed in its place, on any file system."""
    monkeypatch.setattr(staging, "IN_PLACE_ABOVE", 0)
    monkeypatch.setattr(staging, "_share", lambda *_: False)


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts file systems of a size."""
    require("mount", "umount", root=True)
    places: list[str] = []

    def make(path: str, size: str) -> None:
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path], check=True)
        places.append(path)

    yield make
    for path in places:
        subprocess.run(["umount", path], check=True)


def change(path: str, block: int) -> bytes:
    content = bytearray(read(path))
    content[block * BLOCK_BYTES + 5] ^= 0xFF
    write(path, bytes(content))
    return bytes(content)


def replicated(base: Path, keep_s: float = 1000.0, blocks: int = 20) -> Pair:
    pair = Pair(str(base), versions=Versions(keep_s))
    write(f"{pair.a}/f", Random(1).randbytes(blocks * BLOCK_BYTES))
    pair.replicate()
    return pair


def fill_disk(path: str, but: int) -> None:
    status = os.statvfs(path)
    write(f"{path}/ballast", bytes(status.f_bavail * status.f_frsize - but))


@pytest.mark.usefixtures("flat")
def test_a_running_program_is_updated(tmp_path: Path) -> None:
    """B24: it is replaced, since nobody can write to it."""
    with Pair(str(tmp_path)) as pair:
        content = read("/bin/sleep") + Random(1).randbytes(20 * BLOCK_BYTES)
        write(f"{pair.a}/prog", content, mode=0o755)
        pair.replicate()
        content = change(f"{pair.a}/prog", 10)
        with subprocess.Popen([f"{pair.b}/prog", "30"]) as running:
            try:
                pair.update()
            finally:
                running.kill()
        assert read(f"{pair.b}/prog") == content


@pytest.mark.usefixtures("flat")
def test_a_file_that_was_patched_is_gone_at_the_commit(tmp_path: Path) -> None:
    """B20: the update fails, and says where."""
    with replicated(tmp_path) as pair:
        change(f"{pair.a}/f", 3)
        update = pair.stage()
        os.unlink(f"{pair.b}/f")
        with pytest.raises(ReplicationError, match=r"data/f.*No such file"):
            pair.commit(update)


@pytest.mark.usefixtures("flat")
def test_no_room_for_a_copy_of_a_file_that_is_open(tmp_path: Path, mount: Mount) -> None:
    mount(f"{tmp_path}/b", "6m")
    with replicated(tmp_path, 0.0, 32) as pair:
        change(f"{pair.a}/f", 1)
        update = pair.stage()
        with open(f"{pair.b}/f", "rb"), pytest.raises(ReplicationError, match="No space left"):
            pair.commit(update)


@pytest.mark.usefixtures("flat")
def test_a_file_grows_on_a_full_disk(tmp_path: Path, mount: Mount) -> None:
    """B20: the update fails before it is committed, and the file is whole."""
    mount(f"{tmp_path}/b", "6m")
    with replicated(tmp_path, 0.0, 28) as pair:
        old = read(f"{pair.a}/f")
        write(f"{pair.a}/f", old + Random(2).randbytes(6 * BLOCK_BYTES))
        change(f"{pair.a}/f", 0)
        update = pair.stage()
        fill_disk(pair.b, 300_000)
        with pytest.raises(ReplicationError, match="No space left"):
            pair.commit(update)
        assert read(f"{pair.b}/f") == old


@pytest.mark.usefixtures("flat")
def test_no_room_for_the_blocks_that_are_replaced(tmp_path: Path, mount: Mount) -> None:
    """B20, B21: that is known before the commit."""
    mount(f"{tmp_path}/b", "12m")
    with replicated(tmp_path, 1000.0, 32) as pair:
        for block in range(8):
            change(f"{pair.a}/f", block)
        update = pair.stage()
        fill_disk(pair.b, 200_000)
        with pytest.raises(ReplicationError, match="the update needs 1048576 bytes"):
            pair.commit(update)
        os.unlink(f"{pair.b}/ballast")
        pair.update()
        assert read(f"{pair.b}/f") == read(f"{pair.a}/f")


@pytest.mark.usefixtures("flat")
def test_where_no_versions_are_kept_they_need_no_room(tmp_path: Path, mount: Mount) -> None:
    """B20: the update is not refused for the sake of what nobody wants."""
    mount(f"{tmp_path}/b", "12m")
    with replicated(tmp_path, 0.0, 32) as pair:
        for block in range(8):
            change(f"{pair.a}/f", block)
        update = pair.stage()
        fill_disk(pair.b, 200_000)
        record = pair.commit(update)
        assert record.overlays
        assert pair.target.apply(record, proceed).problems == ()
        assert read(f"{pair.b}/f") == read(f"{pair.a}/f")


@pytest.mark.usefixtures("flat")
@pytest.mark.parametrize("what", ["directory", "link", "pipe"])
def test_something_else_stands_there_by_then(tmp_path: Path, what: str) -> None:
    """B20: it is told, and stops nothing."""
    with replicated(tmp_path) as pair:
        change(f"{pair.a}/f", 3)
        record = pair.commit(pair.stage())
        path = f"{pair.b}/f"
        os.unlink(path)
        match what:
            case "directory":
                os.mkdir(path)
            case "link":
                os.symlink("x", path)
            case _:
                os.mkfifo(path)
        applied = pair.target.apply(record, proceed)
        assert [each.path for each in applied.problems] == ["data/f"]


@pytest.mark.usefixtures("flat")
def test_a_program_runs_by_then(tmp_path: Path) -> None:
    """B20: nobody can write to it, so it is replaced."""
    with Pair(str(tmp_path)) as pair:
        content = read("/bin/sleep") + Random(1).randbytes(20 * BLOCK_BYTES)
        write(f"{pair.a}/prog", content, mode=0o755)
        pair.replicate()
        content = change(f"{pair.a}/prog", 10)
        record = pair.commit(pair.stage())
        with subprocess.Popen([f"{pair.b}/prog", "30"]) as running:
            try:
                pair.target.apply(record, proceed)
            finally:
                running.kill()
        assert read(f"{pair.b}/prog") == content


def test_a_mount_inside_is_full_for_a_while(tmp_path: Path, mount: Mount) -> None:
    """B20: what is staged stays until it has been copied."""
    with Pair(str(tmp_path)) as pair:
        mount(f"{pair.b}/m", "4m")
        write(f"{pair.b}/m/ballast", bytes(3 * 2**20))
        content = Random(1).randbytes(2 * 2**20)
        write(f"{pair.a}/m/f", content)
        pair.connect()
        record = pair.commit(pair.stage())
        with pytest.raises(ReplicationError):
            pair.target.apply(record, proceed)
        os.unlink(f"{pair.b}/m/ballast")
        applied = pair.target.apply(record, proceed)
        assert not applied.problems
        assert read(f"{pair.b}/m/f") == content


def test_a_stream_is_removed_after_its_copy_is_durable(
    tmp_path: Path, mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20: else a power cut would leave neither."""
    with Pair(str(tmp_path)) as pair:
        mount(f"{pair.b}/m", "4m")
        write(f"{pair.a}/m/f", Random(1).randbytes(2 * 2**20))
        pair.connect()
        record = pair.commit(pair.stage())
        events: list[str] = []
        unlink = os.unlink

        def noting_unlink(name: str, **place: int) -> None:
            events.append(name)
            unlink(name, **place)

        def noting_sync(fd: int) -> None:
            events.append("sync")
            sync_file_system(fd)

        monkeypatch.setattr(os, "unlink", noting_unlink)
        monkeypatch.setattr("sbs.replication.following.apply.sync_file_system", noting_sync)
        pair.target.apply(record, proceed)
        assert events.index("sync") < events.index("stream-0")


@pytest.mark.usefixtures("flat")
def test_what_is_filled_after_the_commit_is_durable_before_its_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20, B21: of the file that it replaces only blocks are kept."""
    with replicated(tmp_path) as pair:
        change(f"{pair.a}/f", 3)
        record = pair.commit(pair.stage())
        events: list[str] = []
        calls = {name: getattr(os, name) for name in ("rename", "fsync", "fdatasync")}

        def noting(name: str) -> Callable[..., object]:
            def call(*args: object, **kwargs: object) -> object:
                events.append(f"rename {args[0]}" if name == "rename" else "sync")
                return calls[name](*args, **kwargs)

            return call

        for name in calls:
            monkeypatch.setattr(os, name, noting(name))

        def noting_fill(*arguments: Any) -> None:
            events.append("fill")
            fill(*arguments)

        monkeypatch.setattr("sbs.replication.following.putting.fill", noting_fill)
        with open(f"{pair.b}/f", "rb"):
            pair.target.apply(record, proceed)
        assert "sync" in events[events.index("fill") : events.index("rename stream-0")], events


@pytest.mark.parametrize("crash", [False, True], ids=["given up", "a crash"])
def test_a_deep_tree_that_was_staged_is_removed(tmp_path: Path, crash: bool) -> None:
    """B20: as deep as names of one letter allow; no call for each level."""
    with Pair(str(tmp_path)) as pair:
        fd = os.open(pair.a, os.O_RDONLY)
        for _ in range(1100):
            os.mkdir("d", dir_fd=fd)
            below = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = below
        os.close(fd)
        pair.connect()
        pair.stage()
        try:
            if crash:
                Target(pair.state_dir, pair.index_b).recover(proceed)
            else:
                pair.target.abandon()
            assert os.listdir(pair.b) == []
        finally:
            subprocess.run(["rm", "-rf", pair.a, f"{pair.b}/.sbs.staging"], check=True)


def test_set_id_is_for_its_owner(tmp_path: Path) -> None:
    """R22: nobody on the primary makes a program run as root on the secondary."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/x", b"#!/bin/sh\n")
        os.chown(f"{pair.a}/x", 65534, 65534)
        os.chmod(f"{pair.a}/x", 0o4755)
        pair.replicate()
        assert stat.S_IMODE(os.stat(f"{pair.b}/x").st_mode) == 0o755
        assert pair.update()[0].empty


def twice(pair: Pair) -> CommitRecord:
    """A generation that puts one path twice into a new directory."""

    def put(path: str, content: bytes) -> Operation:
        return Operation(
            folder=0,
            action=Action.PUT,
            path=path,
            mode=0o644,
            size_bytes=len(content),
            digest=digest_of_content(content),
        )

    operations = (
        Operation(folder=0, action=Action.MKDIR, path="d", mode=0o755),
        put("d/x", b"one"),
        put("d/x", b"two"),
        put("z", b"zzz"),
    )
    pair.connect()
    pair.target.begin(Begin(pair.epoch, pair.history.number + 1))
    pair.target.take(Pack(operations, b"onetwozzz"), proceed)
    seal = Seal()
    seal.add(operations)
    generation = seal.generation(pair.epoch, pair.history, ())
    commit = Commit(generation=generation, operations=seal.count, active=())
    return pair.target.commit(commit, pair.history, proceed)


@pytest.mark.parametrize("crash", [False, True], ids=["at once", "after a crash"])
def test_one_path_twice_in_a_new_directory(tmp_path: Path, crash: bool) -> None:
    """Adversarial case 24: each content is that of its own operation."""
    with Pair(str(tmp_path)) as pair:
        record = twice(pair)
        if crash:
            pair.target.close()
            target = Target(pair.state_dir, pair.index_b)
            target.recover(proceed)
            assert target.damage == ""
        else:
            pair.target.apply(record, proceed)
        assert (read(f"{pair.b}/d/x"), read(f"{pair.b}/z")) == (b"two", b"zzz")


@pytest.mark.usefixtures("flat")
def test_restored_blocks_have_the_attributes_of_what_came_after(tmp_path: Path) -> None:
    """B21."""
    with Pair(str(tmp_path), versions=Versions(1000.0)) as pair:
        pair.specs[:] = [attrs.evolve(spec, xattr=True) for spec in pair.specs]
        pair.source = Source(pair.specs, pair.index_a, "off")
        write(f"{pair.a}/f", Random(1).randbytes(20 * BLOCK_BYTES))
        os.setxattr(f"{pair.a}/f", "user.tag", b"old")
        pair.replicate()
        change(f"{pair.a}/f", 3)
        pair.update()
        with Places([pair.b]) as places:
            assert pair.history.tip is not None
            put_back(places, 0, find(places, 0, "f", 1, 2), pair.history.tip)
        assert os.getxattr(f"{pair.b}/f", "user.tag") == b"old"


@pytest.mark.usefixtures("flat")
def test_a_block_that_comes_again_and_again(tmp_path: Path) -> None:
    """Adversarial case 7: it is remembered once."""
    with replicated(tmp_path) as pair:
        write(f"{pair.a}/f", read(f"{pair.a}/f") + b"x")
        pair.replicate()
        entry = pair.peer.entry(0, "f")
        assert entry is not None
        assert entry.digest is not None
        pair.target.begin(Begin(pair.epoch, pair.history.number + 1))
        pair.target.take(
            Patch(stream=0, folder=0, path="f", digest=entry.digest, size_bytes=entry.size_bytes),
            proceed,
        )
        for _ in range(1000):
            pair.target.take(Chunk(0, b"x", folder=0, at=20 * BLOCK_BYTES), proceed)
        incoming = pair.target._incoming
        assert incoming is not None
        assert len(incoming.staging._stream.written._ranges) <= 21
