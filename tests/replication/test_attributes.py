"""Owner and extended attributes of copies, for folders whose settings ask for them."""

from __future__ import annotations

import contextlib
import errno
import grp
import itertools
import os
import pwd
import stat
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import attrs
import pytest

from sbs.core.attributes import MAX_TOTAL_BYTES
from sbs.core.manifest import Action
from sbs.core.messages import Begin, Commit, Content
from sbs.replication.changes import EVERYTHING
from sbs.replication.files import attributes
from sbs.replication.files.content import BLOCKS_ABOVE
from sbs.replication.former.versions import Versions
from sbs.replication.leading.source import Source
from tests.replication.rig import Pair, look, proceed, read, write
from tests.replication.test_crash import CRASHED, in_child
from tests.support import require

UID, GID = 61234, 61235
"""Nobody's here, so that they travel as numbers."""


def optioned(pair: Pair, *, owner: bool = False, xattr: bool = False) -> Pair:
    """The same pair, with other settings of its folders."""
    pair.specs = [attrs.evolve(spec, owner=owner, xattr=xattr) for spec in pair.specs]
    pair.source = Source(pair.specs, pair.index_a, pair.max_deletes)
    return pair


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Owner and extended attributes travel."""
    require(root=True)
    with Pair(str(tmp_path), preserve_mtime=True) as pair:
        yield optioned(pair, owner=True, xattr=True)


def dressed(root: str) -> dict[str, tuple[Any, ...]]:
    """Owner, mode and extended attributes of all below a root; shares no code with SBS."""
    found: dict[str, tuple[Any, ...]] = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            link = stat.S_ISLNK(status.st_mode)
            xattrs = {} if link else {each: os.getxattr(path, each) for each in os.listxattr(path)}
            mode = None if link else stat.S_IMODE(status.st_mode)
            found[os.path.relpath(path, root)] = (status.st_uid, status.st_gid, mode, xattrs)
    return found


def acl(*entries: tuple[int, int, int]) -> bytes:
    """An ACL as Linux keeps it: version, then tag, permissions and number of each entry."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)


NOBODY_IN = 2**32 - 1
READABLE_BY_ONE = acl(
    (1, 6, NOBODY_IN), (2, 4, UID), (4, 0, NOBODY_IN), (16, 4, NOBODY_IN), (32, 0, NOBODY_IN)
)
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
"""``cap_net_bind_service`` for the one who runs the file."""


def test_copies_have_owner_and_extended_attributes(pair: Pair) -> None:
    """Files, small and large, directories and links; what follows from nothing sends nothing."""
    write(f"{pair.a}/d/f", "text", mode=0o4711)
    write(f"{pair.a}/d/large", os.urandom(BLOCKS_ABOVE * 2), mode=0o640)
    os.symlink("f", f"{pair.a}/d/l")
    for name in ("d", "d/f", "d/large", "d/l"):
        os.chown(f"{pair.a}/{name}", UID, GID, follow_symlinks=False)
    os.chmod(f"{pair.a}/d/f", 0o4711)
    for name in ("d", "d/f", "d/large"):
        os.setxattr(f"{pair.a}/{name}", "user.\udcff", b"value of " + name.encode())
        os.setxattr(f"{pair.a}/{name}", "trusted.empty", b"")
    os.setxattr(f"{pair.a}/d/f", "security.capability", CAPABILITY)
    os.setxattr(f"{pair.a}/d/large", "system.posix_acl_access", READABLE_BY_ONE)
    os.setxattr(f"{pair.a}/d", "system.posix_acl_default", READABLE_BY_ONE)
    _, applied = pair.replicate()
    assert applied.problems == ()
    assert dressed(pair.b) == dressed(pair.a)
    assert dressed(pair.b)["d/f"][:3] == (UID, GID, 0o4711)
    assert look(pair.a, times=True) == look(pair.b, times=True)
    assert pair.replicate()[0].operations == []


CHANGES: dict[str, Callable[[str], None]] = {
    "owner": lambda path: os.chown(path, UID, GID, follow_symlinks=False),
    "a new attribute": lambda path: os.setxattr(path, "user.new", b"new"),
    "another value": lambda path: os.setxattr(path, "user.old", b"new"),
    "an attribute less": lambda path: os.removexattr(path, "user.old"),
}


@pytest.mark.parametrize(
    ("name", "change"),
    [*((name, change) for name in ("d", "d/f") for change in CHANGES), ("d/l", "owner")],
)
def test_a_change_of_these_alone_sends_no_content(pair: Pair, name: str, change: str) -> None:
    """B23: within a session, and found by the listing of the next."""
    write(f"{pair.a}/d/f", "text")
    os.symlink("f", f"{pair.a}/d/l")
    for each in ("d", "d/f"):
        os.setxattr(f"{pair.a}/{each}", "user.old", b"old")
    pair.replicate()
    kinds = {"d": Action.MKDIR, "d/f": Action.TOUCH, "d/l": Action.LINK}
    CHANGES[change](f"{pair.a}/{name}")
    update, _ = pair.update()
    assert [(each.action, each.path) for each in update.operations] == [(kinds[name], name)]
    assert dressed(pair.b) == dressed(pair.a)
    os.chown(f"{pair.b}/{name}", 1, 1, follow_symlinks=False)
    pair.replicate()
    assert dressed(pair.b) == dressed(pair.a)


def test_a_preview_shows_it_as_a_change(pair: Pair) -> None:
    """B26."""
    write(f"{pair.a}/f", "text")
    pair.replicate()
    os.chown(f"{pair.b}/f", UID, GID)
    pair.connect()
    found = pair.source.preview(pair.peer, proceed)
    assert [(each.change.value, each.path) for each in found.paths] == [("change", "f")]


def test_without_the_options_nothing_of_it_travels(tmp_path: Path) -> None:
    require(root=True)
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", "text")
        os.chown(f"{pair.a}/f", UID, GID)
        os.setxattr(f"{pair.a}/f", "user.x", b"y")
        update, _ = pair.replicate()
        assert [each.attributes for each in update.operations] == [None]
        assert dressed(pair.b)["f"] == (os.geteuid(), os.getegid(), 0o644, {})
        entry = pair.peer.entry(0, "f")
        assert entry is not None
        assert entry.attributes is None


@pytest.mark.parametrize("option", ["owner", "xattr"])
def test_one_travels_without_the_other(tmp_path: Path, option: str) -> None:
    require(root=True)
    with Pair(str(tmp_path)) as pair:
        optioned(pair, owner=option == "owner", xattr=option == "xattr")
        write(f"{pair.a}/f", "text")
        os.chown(f"{pair.a}/f", UID, GID)
        os.setxattr(f"{pair.a}/f", "user.x", b"y")
        pair.replicate()
        uid, _, _, xattrs = dressed(pair.b)["f"]
        assert (uid == UID, xattrs == {"user.x": b"y"}) == (option == "owner", option == "xattr")
        assert pair.replicate()[0].operations == []


class Names:
    """What ``pwd`` and ``grp`` say on a node."""

    def __init__(self, **ids: int) -> None:
        self._ids = ids

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module, get_id, get_name, field, name in (
            (pwd, "getpwnam", "getpwuid", "pw_uid", "pw_name"),
            (grp, "getgrnam", "getgrgid", "gr_gid", "gr_name"),
        ):
            monkeypatch.setattr(module, get_id, lambda name, f=field: _Account(f, self._ids[name]))
            monkeypatch.setattr(
                module,
                get_name,
                lambda number, f=name: _Account(f, {v: k for k, v in self._ids.items()}[number]),
            )


class _Account:
    def __init__(self, field: str, value: object) -> None:
        setattr(self, field, value)


def test_names_count_where_both_nodes_know_them(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else numbers; the administrator learns which names are not known."""
    leader, follower = Names(app=61001, staff=61002), Names(app=61003, other=61004)
    write(f"{pair.a}/f", "text")
    os.chown(f"{pair.a}/f", 61001, 61002)
    for _ in range(2):
        follower.install(monkeypatch)
        pair.connect()
        leader.install(monkeypatch)
        update = pair.stage()
        record = pair.commit(update)
        follower.install(monkeypatch)
        applied = pair.target.apply(record, proceed)
        pair.history = record.history
        assert dressed(pair.b)["f"][:2] == (61003, 61002)
    assert [(each.path, each.note) for each in applied.problems] == [("data", True)]
    assert applied.problems[0].text == ("group 'staff' is not known here, the number is used: f")


def refusing(code: int) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return refuse


def test_without_the_right_to_it_the_content_arrives_and_the_administrator_learns_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is set-id for another owner than its own."""
    for name in ("f", "g"):
        write(f"{pair.a}/{name}", name)
        os.chown(f"{pair.a}/{name}", UID, GID)
        os.chmod(f"{pair.a}/{name}", 0o6755)
        os.setxattr(f"{pair.a}/{name}", "trusted.x", b"y")
    monkeypatch.setattr(os, "chown", refusing(errno.EPERM))
    monkeypatch.setattr(os, "setxattr", refusing(errno.EPERM))
    _, applied = pair.replicate()
    (told,) = applied.problems
    assert told.note
    assert told.text == (
        "the owner cannot be set (Operation not permitted): f and 1 more;"
        " extended attributes trusted.* cannot be set (Operation not permitted): f and 1 more"
    )
    assert read(f"{pair.b}/g") == b"g"
    assert dressed(pair.b)["g"] == (os.geteuid(), os.getegid(), 0o755, {})


def test_an_unprivileged_secondary_takes_the_content() -> None:
    """As it is where SBS does not run as root: nothing of this is a fake."""
    require(root=True)
    with tempfile.TemporaryDirectory() as base:  # above which an account without rights may look
        with Pair(base) as pair:
            optioned(pair, owner=True, xattr=True)
            write(f"{pair.a}/f", "text", mode=0o4755)
            os.setxattr(f"{pair.a}/f", "user.x", b"y")
            os.setxattr(f"{pair.a}/f", "trusted.x", b"y")
            pair.connect()
            update = pair.source.prepare(pair.peer, EVERYTHING, proceed)
            messages, commit = list(update.messages(proceed)), pair.seal(update)
        for directory, _, names in os.walk(base):
            for name in (".", *names):
                os.chown(f"{directory}/{name}", UID, GID)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                os.setgroups([])
                os.setgid(GID)
                os.setuid(UID)
                told = taken(base, messages, commit)
                write(f"{base}/told", "\n".join(told))
            os._exit(0)
        os.waitpid(child, 0)
        assert read(f"{base}/told").decode().splitlines() == [
            "data: the owner cannot be set (Operation not permitted): f;"
            " extended attributes trusted.* cannot be set (Operation not permitted): f"
        ]
        assert dressed(pair.b)["f"] == (UID, GID, 0o755, {"user.x": b"y"})


def taken(base: str, messages: Iterable[Content], commit: Commit) -> list[str]:
    """What a secondary has to tell of a generation."""
    with Pair(base) as pair:
        optioned(pair, owner=True, xattr=True).connect()
        pair.target.begin(Begin(pair.epoch, 1))
        for message in messages:
            pair.target.take(message, proceed)
        record = pair.target.commit(commit, pair.history, proceed)
        applied = pair.target.apply(record, proceed)
        return [f"{each.path}: {each.text}" for each in applied.problems]


def test_a_file_system_without_extended_attributes_is_told_once(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("f", "g"):
        write(f"{pair.a}/{name}", name)
        os.setxattr(f"{pair.a}/{name}", "user.x", b"y")
        os.setxattr(f"{pair.a}/{name}", "trusted.x", b"y")
    monkeypatch.setattr(os, "setxattr", refusing(errno.EOPNOTSUPP))
    _, applied = pair.replicate()
    assert [each.text for each in applied.problems] == [
        "extended attributes cannot be set (Operation not supported): f and 3 more"
    ]
    assert read(f"{pair.b}/g") == b"g"


def test_a_primary_without_extended_attributes_has_none(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(f"{pair.a}/f", "text")
    monkeypatch.setattr(os, "listxattr", refusing(errno.EOPNOTSUPP))
    update, applied = pair.replicate()
    assert update.problems == applied.problems == ()
    assert read(f"{pair.b}/f") == b"text"


def test_an_error_of_the_disk_is_no_refusal(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """B20: the generation is applied again."""
    write(f"{pair.a}/f", "text")
    os.setxattr(f"{pair.a}/f", "user.x", b"y")
    pair.connect()
    record = pair.commit(pair.stage())
    with monkeypatch.context() as patched:
        patched.setattr(os, "setxattr", refusing(errno.EIO))
        with pytest.raises(Exception, match="Input/output error; it will be tried again"):
            pair.target.apply(record, proceed)
    pair.target.apply(record, proceed)
    assert dressed(pair.b) == dressed(pair.a)


def test_a_file_changes_hands_without_being_set_id_for_either(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bits go first, then comes the owner, then they come."""
    write(f"{pair.a}/f", "text", mode=0o4755)
    pair.replicate()
    os.chown(f"{pair.a}/f", UID, GID)
    os.chmod(f"{pair.a}/f", 0o4711)
    seen: list[tuple[int, int]] = []

    def watched(act: Callable[..., None]) -> Callable[..., None]:
        def act_and_look(*values: Any) -> None:
            act(*values)
            status = os.stat(f"{pair.b}/f")
            seen.append((status.st_uid, stat.S_IMODE(status.st_mode)))

        return act_and_look

    monkeypatch.setattr(os, "chown", watched(os.chown))
    monkeypatch.setattr(os, "chmod", watched(os.chmod))
    pair.update()
    assert seen == [(0, 0o755), (UID, 0o755), (UID, 0o4711)]


def test_more_than_a_message_has_room_for_is_left_out_and_told(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adversarial case 7; a file system without Linux's limits of an inode has so much."""
    monkeypatch.setattr(attributes, "MAX_TOTAL_BYTES", 100)
    write(f"{pair.a}/f", "text")
    os.setxattr(f"{pair.a}/f", "user.x", bytes(101))
    for replicate in (pair.replicate, pair.update, pair.replicate):
        update, _ = replicate()
        assert [(each.entry, each.note) for each in update.problems] == [("f", True)]
        assert update.problems[0].text.startswith("none of its extended attributes are replicated")
    assert read(f"{pair.b}/f") == b"text"
    assert update.operations == []
    assert MAX_TOTAL_BYTES == 128 * 1024


def test_what_only_the_secondary_has_goes(pair: Pair) -> None:
    """The primary's are all there is, but for the labels of the secondary itself."""
    write(f"{pair.a}/f", "text")
    pair.replicate()
    os.setxattr(f"{pair.b}/f", "user.x", b"y")
    os.setxattr(f"{pair.b}/f", "security.selinux", b"a label of the policy here")
    os.setxattr(f"{pair.a}/f", "user.z", b"y")
    pair.update()
    assert set(dressed(pair.b)["f"][3]) == {"security.selinux", "user.z"}


def plant(place: str, target: str) -> None:
    os.rename(place, f"{place}.away")
    os.symlink(target, place)


@pytest.mark.parametrize("planted", ["d", "d/f", "d/l"])
@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_set_through_a_planted_link(
    pair: Pair, tmp_path: Path, change: str, planted: str
) -> None:
    """Adversarial case 2: planted between the commit and its roll-forward."""
    outside = str(tmp_path / "outside")
    write(f"{outside}/d/f", "sentinel")
    write(f"{outside}/d/l", "sentinel")
    before = dressed(outside)
    write(f"{pair.a}/d/f", "text")
    os.symlink("f", f"{pair.a}/d/l")
    os.setxattr(f"{pair.a}/d/f", "user.old", b"old")
    pair.replicate()
    CHANGES[change](f"{pair.a}/d/f")
    os.chown(f"{pair.a}/d", UID, GID)
    os.chown(f"{pair.a}/d/l", UID, GID, follow_symlinks=False)
    pair.connect()
    record = pair.commit(pair.stage())
    plant(f"{pair.b}/{planted}", f"{outside}/{planted}")
    pair.target.apply(record, proceed)
    assert dressed(outside) == before


def test_crashed_at_every_step_of_an_update(tmp_path: Path) -> None:
    """B20: owners, attributes and modes are those of the generation, whenever it is interrupted."""
    require(root=True)
    code = CRASHED
    for point in itertools.count(1):
        base = str(tmp_path / str(point))
        with optioned(Pair(base), owner=True, xattr=True) as pair:
            for name in ("put", "touch", "d/f"):
                write(f"{pair.a}/{name}", name, mode=0o4755)
            os.symlink("put", f"{pair.a}/link")
            pair.replicate()
            write(f"{pair.a}/put", "another")
            for name in ("put", "touch", "d", "link"):
                os.chown(f"{pair.a}/{name}", UID, GID, follow_symlinks=False)
            for name in ("put", "touch", "d"):
                os.chmod(f"{pair.a}/{name}", 0o2750)
                os.setxattr(f"{pair.a}/{name}", "user.x", b"y")
            pair.connect()
            record = pair.commit(pair.stage())
            code = in_child(partial(pair.target.apply, record, proceed), crash_at=point)
            pair.target.recover(proceed)
            assert dressed(pair.b) == dressed(pair.a)
            assert look(pair.b) == look(pair.a)
        if code == 0:
            break
    assert point > 20


def test_a_version_that_is_copied_keeps_its_attributes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B21: where the file system has no hard links."""
    require(root=True)

    def no_links(name: str, *_: object, src_dir_fd: int, **__: object) -> NoReturn:
        os.stat(name, dir_fd=src_dir_fd, follow_symlinks=False)
        raise PermissionError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", no_links)
    with Pair(str(tmp_path), versions=Versions(keep_s=3600.0)) as pair:
        optioned(pair, owner=True, xattr=True)
        write(f"{pair.a}/f", "old")
        os.chown(f"{pair.a}/f", UID, GID)
        os.setxattr(f"{pair.a}/f", "user.x", b"y")
        pair.replicate()
        write(f"{pair.a}/f", "new")
        pair.update()
        versions = dressed(f"{pair.b}/.sbs.staging/versions")
        assert (UID, GID, 0o644, {"user.x": b"y"}) in versions.values()
