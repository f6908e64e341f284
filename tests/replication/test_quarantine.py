"""No version is lost that only one node has (B4)."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import attrs
import pytest
from blake3 import blake3

from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.errors import ReplicationError
from sbs.replication.changes import EVERYTHING
from sbs.replication.files.content import BLOCKS_ABOVE
from sbs.replication.files.problems import Problem
from sbs.replication.former import divergence
from sbs.replication.former.kept import MAX_STANDING, standing
from sbs.replication.former.quarantine import MAX_CANDIDATES, Quarantine
from sbs.replication.leading.source import PeerTree, Source
from tests.replication.rig import EPOCH, NOTHING, Host, lead, proceed, read, write

LATER = Epoch(2, 1)
QUARANTINE = ".sbs.staging/quarantine"


@attrs.define
class Nodes:
    """Two nodes, and the history of whoever leads."""

    alpha: Host
    beta: Host
    history: History = NOTHING
    problems: tuple[Problem, ...] = ()

    def lead(self, leader: Host, follower: Host, epoch: Epoch = EPOCH, **settings: Any) -> None:
        """One update."""
        self.history, applied = lead(leader, follower, self.history, epoch, **settings)
        self.problems = applied.problems

    def exchange(self) -> None:
        """Beta leads from now on."""
        self.history = self.history.append(Generation(LATER, self.history.number))


@pytest.fixture(params=[False, True], ids=["delete by hand", "strict delete"])
def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nodes]:
    """Alpha has led, and both hold the same."""
    yield from _nodes(tmp_path, request.param)


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Nodes]:
    """As ``nodes``, with strict_delete."""
    yield from _nodes(tmp_path, True)


def _nodes(tmp_path: Path, strict_delete: bool) -> Iterator[Nodes]:
    alpha, beta = (Host(f"{tmp_path}/{n}", strict_delete=strict_delete) for n in ("alpha", "beta"))
    for name in ("one", "two", "directory/file", "large"):
        alpha.write(name, f"both have {name}")
    nodes = Nodes(alpha, beta)
    nodes.lead(alpha, beta)
    yield nodes
    alpha.close()
    beta.close()


def test_what_both_nodes_have_had_is_not_kept(nodes: Nodes) -> None:
    """B4: the ordinary case, in both directions: replaced, deleted, touched, made again."""
    one, other = nodes.alpha, nodes.beta
    for turn in range(4):
        one.write("one", f"version {turn}")
        one.write("large", f"{turn}" * (BLOCKS_ABOVE + 1))
        os.chmod(f"{one.folder}/two", 0o600 + turn)
        os.utime(f"{one.folder}/two", (turn, turn))
        one.write(f"directory/new {turn}", "new")
        if os.path.exists(f"{one.folder}/directory/new {turn - 1}"):
            os.unlink(f"{one.folder}/directory/new {turn - 1}")
        nodes.lead(one, other, Epoch(turn + 1, turn % 2))
        if turn % 2:
            one, other = other, one
    assert nodes.alpha.kept == nodes.beta.kept == {}
    assert not os.path.exists(f"{nodes.alpha.folder}/.sbs.staging")


def test_what_only_the_loser_wrote_is_kept(nodes: Nodes) -> None:
    """B4: a partition in which both wrote, healed: beta has won."""
    alpha, beta = nodes.alpha, nodes.beta
    alpha.write("one", "alpha's one")
    alpha.write("directory/file", "alpha's inner")
    alpha.write("new", "alpha's new")
    os.unlink(f"{alpha.folder}/large")
    nodes.exchange()
    beta.write("one", "beta's one")
    os.unlink(f"{beta.folder}/directory/file")
    os.rmdir(f"{beta.folder}/directory")
    beta.write("directory", "beta has a file")
    beta.write("large", "x" * (BLOCKS_ABOVE + 1))
    nodes.lead(beta, alpha, LATER)
    assert alpha.read("one") == "beta's one"
    assert alpha.read("directory") == "beta has a file"
    kept = {"one": b"alpha's one", "directory/file": b"alpha's inner"}
    if os.path.exists(f"{alpha.folder}/new"):
        assert alpha.read("new") == "alpha's new"
    else:
        kept["new"] = b"alpha's new"
    assert alpha.kept == kept
    assert beta.kept == {}
    assert {(each.folder, each.path) for each in alpha.quarantine.standing} == {
        ("data", path) for path in kept
    }
    nodes.lead(beta, alpha, LATER)
    assert alpha.kept == kept, "nothing is kept twice"


def test_what_nobody_had_acknowledged_is_kept(nodes: Nodes) -> None:
    """B4: alpha crashed when it had read and sent a change, but beta had not committed it."""
    nodes.alpha.write("one", "unacknowledged")
    source, peer = Source([nodes.alpha.spec], nodes.alpha.index), PeerTree(1, nodes.history)
    nodes.beta.target.open([nodes.alpha.spec], [nodes.beta.folder])
    for listing in nodes.beta.target.listing(proceed):
        peer.add(listing)
    assert list(source.prepare(peer, EVERYTHING, proceed).messages(proceed))
    nodes.exchange()
    nodes.beta.write("one", "beta's")
    nodes.lead(nodes.beta, nodes.alpha, LATER)
    assert nodes.alpha.kept == {"one": b"unacknowledged"}


def test_a_link_is_no_reason_to_lose_the_file_that_it_replaces(nodes: Nodes) -> None:
    """B4; a link itself, a mode or a time is no content."""
    nodes.beta.write("one", "edited by hand")
    os.symlink("target of beta", f"{nodes.beta.folder}/link")
    for name in ("one", "link"):
        if os.path.lexists(f"{nodes.alpha.folder}/{name}"):
            os.unlink(f"{nodes.alpha.folder}/{name}")
        os.symlink("target of alpha", f"{nodes.alpha.folder}/{name}")
    nodes.lead(nodes.alpha, nodes.beta)
    assert os.readlink(f"{nodes.beta.folder}/one") == "target of alpha"
    assert nodes.beta.kept == {"one": b"edited by hand"}


def test_a_directory_takes_the_place_of_a_file(nodes: Nodes) -> None:
    """B4."""
    nodes.beta.write("one", "edited by hand")
    os.unlink(f"{nodes.alpha.folder}/one")
    nodes.alpha.write("one/two/three", "now a directory")
    nodes.lead(nodes.alpha, nodes.beta)
    assert nodes.beta.read("one/two/three") == "now a directory"
    assert nodes.beta.kept == {"one": b"edited by hand"}


def test_equal_contents_of_nodes_that_never_met_are_not_kept(tmp_path: Path) -> None:
    """B4: a pair set up from one backup; and what differs in it is kept."""
    alpha, beta = Host(f"{tmp_path}/alpha"), Host(f"{tmp_path}/beta")
    for host in (alpha, beta):
        host.write("same", "same")
        host.write("other", f"of {host.folder}")
    lead(alpha, beta, NOTHING)
    assert beta.kept == {"other": f"of {beta.folder}".encode()}
    assert beta.index.row("data", "", "same") is not None
    alpha.close()
    beta.close()


def test_a_node_that_has_not_gone_through_the_last_common_generation(strict: Nodes) -> None:
    """B4: one restored from an older backup may lack anything, however common it was."""
    gamma = Host(f"{os.path.dirname(strict.alpha.folder)}-gamma", strict_delete=True)
    gamma.write("one", "from an older backup")
    strict.history = NOTHING
    strict.lead(gamma, strict.beta, LATER)
    assert set(strict.beta.kept) == {"one", "two", "directory/file", "large"}
    assert sorted(os.listdir(strict.beta.folder)) == [".sbs.staging", "one"]
    gamma.close()


def test_what_the_follower_could_not_put_in_place_is_not_common(strict: Nodes) -> None:
    """B4: acknowledged, and yet only the leader has it."""
    alpha, beta = strict.alpha, strict.beta
    alpha.write("one", "beta never had this")

    def obstruct() -> None:
        os.unlink(f"{beta.folder}/one")
        os.makedirs(f"{beta.folder}/one/in the way")

    strict.lead(alpha, beta, between=obstruct)
    assert [problem.entry for problem in strict.problems] == ["one"]
    strict.exchange()
    os.rmdir(f"{beta.folder}/one/in the way")
    os.rmdir(f"{beta.folder}/one")
    strict.lead(beta, alpha, LATER)
    assert alpha.kept == {"one": b"beta never had this"}


def test_a_lost_confirmation_is_made_good_when_the_nodes_meet_again(nodes: Nodes) -> None:
    """B4: what both have is found by comparing; it is not kept later."""
    nodes.alpha.write("one", "second")
    nodes.lead(nodes.alpha, nodes.beta, confirmed=False)
    nodes.lead(nodes.alpha, nodes.beta)
    nodes.exchange()
    nodes.beta.write("one", "third")
    nodes.lead(nodes.beta, nodes.alpha, LATER)
    assert nodes.alpha.kept == {}


def test_each_version_has_a_place_of_its_own(nodes: Nodes) -> None:
    """B4: also where one generation is tried again, and where its place is taken."""
    alpha, beta = nodes.alpha, nodes.beta
    before = nodes.history
    for content in ("first", "second", "third!"):
        beta.write("one", content)
        alpha.write("one", f"instead of {content}")
        nodes.history = before
        nodes.lead(alpha, beta)
    contents = sorted(beta_kept.decode() for beta_kept in _kept(beta).values())
    assert contents == ["first", "second", "third!"]
    assert sorted(_kept(beta)) == ["1.0-2.2/one", "1.0-2.3/one", "1.0-2/one"]


def _kept(host: Host) -> dict[str, bytes]:
    base = f"{host.folder}/{QUARANTINE}"
    paths = [f"{top}/one" for top in os.listdir(base) if os.path.isdir(f"{base}/{top}")]
    return {path: read(f"{base}/{path}") for path in paths}


def test_the_list_says_what_was_kept(nodes: Nodes) -> None:
    """B4: for people and scripts."""
    nodes.beta.write("one", "edited by hand")
    nodes.beta.write("odd\n\udcff", "edited by hand")
    nodes.alpha.write("one", "alpha's")
    nodes.alpha.write("odd\n\udcff", "alpha's")
    nodes.lead(nodes.alpha, nodes.beta)
    lines = read(f"{nodes.beta.folder}/{QUARANTINE}/list.jsonl").splitlines()
    odd, one = sorted((json.loads(line) for line in lines), key=lambda line: line["path"])
    assert odd["path"] == "odd\n\udcff"
    assert one.pop("kept_at").endswith("Z")
    assert one == {
        "path": "one",
        "kept": f"{QUARANTINE}/1.0-2/one",
        "size_bytes": len("edited by hand"),
        "digest": blake3(b"edited by hand").hexdigest(),
        "generation": 2,
        "epoch": "1.0",
        "replaced_by": {"size_bytes": 7, "digest": blake3(b"alpha's").hexdigest()},
    }
    assert {each.path for each in nodes.beta.quarantine.standing} == {"one", "odd\n\udcff"}


def test_what_the_administrator_removes_stands_no_longer(nodes: Nodes, tmp_path: Path) -> None:
    """B4; and what stands is known after a restart."""
    beta = nodes.beta
    for name in ("one", "two"):
        beta.write(name, "edited by hand")
        nodes.alpha.write(name, "alpha's")
    nodes.lead(nodes.alpha, beta)
    beta.close()
    again = Host(f"{tmp_path}/beta")
    assert not again.quarantine.standing
    again.quarantine.watch({"data": again.folder, "gone": f"{tmp_path}/gone"})
    assert [each.path for each in again.quarantine.standing] == ["one", "two"]
    os.unlink(f"{again.folder}/{again.quarantine.standing[0].kept}")
    again.quarantine.refresh()
    assert [each.path for each in again.quarantine.standing] == ["two"]
    nodes.beta = again


def test_folders_of_former_sessions_are_watched_while_anything_is_kept_there(
    nodes: Nodes, tmp_path: Path
) -> None:
    """B62: a primary that names other folders in each session is no reason to remember them all."""
    beta = nodes.beta
    beta.write("one", "edited by hand")
    nodes.alpha.write("one", "alpha's")
    nodes.lead(nodes.alpha, beta)
    quarantine = Quarantine()
    quarantine.watch({"own": f"{tmp_path}/own"}, always=True)
    quarantine.watch({"data": beta.folder})
    for number in range(3):
        quarantine.watch({f"learned-{number}": f"{tmp_path}/learned"})
    assert quarantine._places.keys() == {"own", "data", "learned-2"}
    os.unlink(f"{beta.folder}/{quarantine.standing[0].kept}")
    quarantine.refresh()
    quarantine.watch({})
    assert quarantine._places.keys() == {"own"}


def test_a_damaged_list_is_read_as_far_as_it_goes(nodes: Nodes) -> None:
    """B4: a crash may tear its last line, and anybody may edit it."""
    beta = nodes.beta
    beta.write("one", "edited by hand")
    nodes.alpha.write("one", "alpha's")
    nodes.lead(nodes.alpha, beta)
    path = f"{beta.folder}/{QUARANTINE}/list.jsonl"
    good = read(path)
    outside = good.replace(f"{QUARANTINE}/1.0-2".encode(), b"../../../etc")
    long = good.replace(b'"one"', b'"' + b"x" * 5000 + b'"')
    for bad in (b"no json\n", b"[]\n", b"{}\n", b'{"path": 1}\n', outside, long, good[:-9]):
        write(path, bad)
        beta.quarantine.refresh()
        assert not beta.quarantine.standing, bad
    beta.write("two", "edited by hand")
    nodes.alpha.write("two", "alpha's")
    nodes.lead(nodes.alpha, beta)
    assert [each.path for each in beta.quarantine.standing] == ["two"], "after the torn line"


def test_only_so_many_are_told_of(nodes: Nodes) -> None:
    """B4: the list has all."""
    beta = nodes.beta
    beta.write("one", "edited by hand")
    nodes.alpha.write("one", "alpha's")
    nodes.lead(nodes.alpha, beta)
    path = f"{beta.folder}/{QUARANTINE}/list.jsonl"
    line = json.loads(read(path))
    below = os.path.dirname(line["kept"])
    with open(path, "a") as file:
        for number in range(MAX_STANDING):
            write(f"{beta.folder}/{below}/{number}")
            file.write(json.dumps({**line, "kept": f"{below}/{number}"}) + "\n")
    beta.quarantine.refresh()
    assert len(beta.quarantine.standing) == MAX_STANDING


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP])
def test_where_there_can_be_no_link_it_is_copied(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """B4: another file system inside the folder, one without links, somebody else's file."""

    def refuse(*_arguments: object, **_keywords: object) -> NoReturn:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)
    path = f"{nodes.beta.folder}/one"
    nodes.beta.write("one", "x" * 3_000_000)
    os.chmod(path, 0o640)
    os.utime(path, ns=(5, 7))
    nodes.alpha.write("one", "alpha's")
    nodes.lead(nodes.alpha, nodes.beta)
    assert nodes.beta.kept == {"one": b"x" * 3_000_000}
    copy = os.stat(f"{nodes.beta.folder}/{nodes.beta.quarantine.standing[0].kept}")
    assert (copy.st_mode & 0o777, copy.st_mtime_ns) == (0o640, 7)
    assert os.listdir(f"{nodes.beta.folder}/.sbs.staging") == ["quarantine"]


@pytest.mark.parametrize("failing", ["link", "open", "copy"])
def test_what_cannot_be_kept_is_not_overwritten(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """B4: the update fails as a whole, and says why; later it is tried again."""
    beta = nodes.beta
    beta.write("one", "edited by hand")
    nodes.alpha.write("one", "alpha's")
    nodes.alpha.write("two", "alpha's, too")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*_arguments: object, **_keywords: object) -> NoReturn:
        raise full if failing != "copy" else OSError(errno.EXDEV, "")

    with monkeypatch.context() as patches:
        if failing == "open":
            patches.setattr("sbs.replication.former.quarantine.append", fail)
        else:
            patches.setattr(os, "link", fail)
        if failing == "copy":
            patches.setattr("sbs.replication.former.keeping.copy_content", _raises(full))
        with pytest.raises(ReplicationError, match=r"No space left.*nothing is overwritten"):
            nodes.lead(nodes.alpha, beta)
        assert not os.path.exists(f"{os.path.dirname(beta.folder)}/state/journal/commit")
    assert beta.read("one") == "edited by hand"
    assert beta.read("two") == "both have two"
    beta.target.abandon()
    nodes.lead(nodes.alpha, beta)
    assert beta.kept == {"one": b"edited by hand"}
    assert beta.read("one") == "alpha's"


def _raises(error: OSError) -> Any:
    def call(*_arguments: object) -> NoReturn:
        raise error

    return call


@pytest.mark.parametrize("planted", ["link", "file"])
def test_what_somebody_planted_as_a_quarantine_is_not_followed(
    nodes: Nodes, tmp_path: Path, planted: str
) -> None:
    """Adversarial case 3."""
    outside, beta = tmp_path / "outside", nodes.beta
    outside.mkdir()
    os.mkdir(f"{beta.folder}/.sbs.staging")
    if planted == "link":
        os.symlink(outside, f"{beta.folder}/{QUARANTINE}")
    else:
        write(f"{beta.folder}/{QUARANTINE}", b"no directory")
    beta.write("one", "edited by hand")
    nodes.alpha.write("one", "alpha's")
    nodes.lead(nodes.alpha, beta)
    assert beta.kept == {"one": b"edited by hand"}
    assert os.listdir(outside) == []


def test_a_directory_planted_as_its_list_is_not_left_open(tmp_path: Path) -> None:
    os.makedirs(f"{tmp_path}/{QUARANTINE}/list.jsonl")
    opened = os.listdir("/proc/self/fd")
    assert standing("data", str(tmp_path)) == []
    assert os.listdir("/proc/self/fd") == opened


def test_links_inside_the_quarantine_are_not_followed(nodes: Nodes, tmp_path: Path) -> None:
    """Adversarial case 3: another place is found; and where all are taken, the update fails."""
    outside, beta = tmp_path / "outside", nodes.beta
    outside.mkdir()
    os.makedirs(f"{beta.folder}/{QUARANTINE}")
    os.symlink(outside, f"{beta.folder}/{QUARANTINE}/1.0-2")
    write(f"{beta.folder}/{QUARANTINE}/1.0-2.2", b"a file")
    os.makedirs(f"{beta.folder}/{QUARANTINE}/1.0-2.3/one")
    beta.write("one", "edited by hand")
    nodes.alpha.write("one", "alpha's")
    nodes.lead(nodes.alpha, beta)
    assert read(f"{beta.folder}/{QUARANTINE}/1.0-2.4/one") == b"edited by hand"
    for number in range(1, MAX_CANDIDATES + 1):
        os.symlink(outside, f"{beta.folder}/{QUARANTINE}/1.0-3{f'.{number}' * (number > 1)}")
    beta.write("one", "edited again")
    nodes.alpha.write("one", "alpha's second")
    with pytest.raises(ReplicationError, match="cannot be kept"):
        nodes.lead(nodes.alpha, beta)
    assert beta.read("one") == "edited again"
    assert os.listdir(outside) == []


def test_the_longest_paths_can_be_kept(strict: Nodes) -> None:
    """B4: also where the path in quarantine would be longer than a path may be."""
    beta = strict.beta
    names = ["d" * 200] * 20
    path = "/".join([*names, "f" * 70])
    fd = os.open(beta.folder, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    with open(os.open("f" * 70, os.O_WRONLY | os.O_CREAT, dir_fd=fd), "wb") as file:
        file.write(b"deep")
    os.close(fd)
    strict.lead(strict.alpha, beta)
    (kept,) = beta.quarantine.standing
    assert kept.path == path
    assert kept.kept == f"{QUARANTINE}/1.0-2/{blake3(path.encode()).hexdigest()}"
    assert read(f"{beta.folder}/{kept.kept}") == b"deep"


def test_what_cannot_be_read_is_kept_unread(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """B4: a link needs no permission to read."""

    def refuse(*_arguments: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    nodes.beta.write("one", "edited by hand")
    nodes.alpha.write("one", "alpha's")
    with monkeypatch.context() as patches:
        patches.setattr(divergence, "open_file", refuse)
        nodes.lead(nodes.alpha, nodes.beta)
    assert nodes.beta.kept == {"one": b"edited by hand"}
    assert json.loads(read(f"{nodes.beta.folder}/{QUARANTINE}/list.jsonl"))["digest"] == ""


def test_an_update_tried_again_looks_again(nodes: Nodes) -> None:
    """B4: what was edited between an I/O error and the next attempt is kept, too."""
    beta = nodes.beta
    nodes.alpha.write("one", "alpha's")
    nodes.alpha.write("two", "alpha's, too")
    away = f"{beta.folder}-unmounted"
    with pytest.raises(ReplicationError, match="No such file"):
        nodes.lead(nodes.alpha, beta, between=lambda: os.rename(beta.folder, away))
    os.rename(away, beta.folder)
    beta.write("two", "edited meanwhile")
    beta.target.recover(proceed)
    assert beta.read("two") == "alpha's, too"
    assert beta.kept == {"two": b"edited meanwhile"}
