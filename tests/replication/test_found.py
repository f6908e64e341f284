"""What random operations have found (test_random_operations), each in a few steps."""

from __future__ import annotations

import os
import stat
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from sbs.core.epoch import Epoch
from sbs.core.history import Generation
from sbs.replication.files.places import Places
from sbs.replication.former.restoring import find
from sbs.replication.former.versions import Versions
from tests.replication.rig import NOTHING, Host, Pair, lead, logged, look, read, write

LATER = Epoch(2, 1)

NOBODY = 65534


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def run_as(account: int, work: Callable[[str], None]) -> None:
    """Run a test in a child with the rights of an account, and a directory that is its own."""
    with tempfile.TemporaryDirectory() as base:
        work(base)  # loads what it needs: the interpreter may lie where the account cannot read
    with tempfile.TemporaryDirectory() as base:
        os.chown(base, account, account)
        child = os.fork()
        if child == 0:
            try:
                if account != os.geteuid():
                    os.setgroups([])
                    os.setegid(account)
                    os.seteuid(account)
                work(base)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


accounts = pytest.mark.parametrize(
    "account", [os.geteuid(), NOBODY] if os.geteuid() == 0 else [os.geteuid()]
)
"""Modes do not apply to root, and this is about what is done where they do."""


@accounts
def test_what_is_not_committed_opens_no_directory(account: int) -> None:
    """B20: a takeover finds the last generation, with its modes."""
    run_as(account, _commit_below_a_closed_directory)


def _commit_below_a_closed_directory(base: str) -> None:
    with Pair(base) as pair:
        write(f"{pair.a}/closed/f", "1")
        os.chmod(f"{pair.a}/closed", 0o555)
        pair.replicate()
        write(f"{pair.a}/closed/f", "2")
        pair.commit(pair.stage())
        assert _mode(f"{pair.b}/closed") == 0o555


@accounts
def test_a_closed_directory_that_has_to_stay_is_closed_again(account: int) -> None:
    """R22: what it holds is protected, so it cannot be deleted."""
    run_as(account, _delete_what_has_to_stay)


def _delete_what_has_to_stay(base: str) -> None:
    with Pair(base, filters=("- *.tmp",), strict_delete=True) as pair:
        write(f"{pair.b}/closed/f", "1")
        write(f"{pair.b}/closed/inner/mine.tmp", "1")
        os.chmod(f"{pair.b}/closed/inner", 0o500)
        os.chmod(f"{pair.b}/closed", 0o555)
        _, applied = pair.replicate()
        assert [each.entry for each in applied.problems] == ["closed/inner", "closed"]
        assert sorted(look(pair.b)) == [b"closed", b"closed/inner", b"closed/inner/mine.tmp"]
        modes = [_mode(f"{pair.b}/{path}") for path in ("closed", "closed/inner")]
        assert modes == [0o555, 0o500]


def test_a_file_by_hand_where_a_directory_gives_way_can_be_had_back(tmp_path: Path) -> None:
    """B21: the same generation deletes the directory, and replaces the file."""
    with Pair(str(tmp_path), versions=Versions(3600.0)) as pair:
        os.mkdir(f"{pair.a}/d")
        pair.replicate()
        os.rmdir(f"{pair.b}/d")
        write(f"{pair.b}/d", "by hand")
        os.rmdir(f"{pair.a}/d")
        write(f"{pair.a}/d", "the primary's")
        pair.update()
        with Places([pair.b]) as places:
            found = find(places, 0, "d", 1, pair.history.number)
        assert read(f"{pair.b}/d") == b"the primary's"
        assert read(f"{pair.b}/{found.kept}") == b"by hand"


def test_a_touch_is_of_one_name_only(tmp_path: Path) -> None:
    """R23: a node that led has hard links, which are files of their own to the one that leads."""
    alpha, beta = Host(f"{tmp_path}/alpha"), Host(f"{tmp_path}/beta")
    alpha.write("one", "same")
    os.link(f"{alpha.folder}/one", f"{alpha.folder}/two")
    history, _ = lead(alpha, beta, NOTHING)
    os.chmod(f"{beta.folder}/one", 0o600)
    lead(beta, alpha, history.append(Generation(LATER, history.number)), LATER)
    assert look(alpha.folder) == look(beta.folder)
    assert os.stat(f"{alpha.folder}/two").st_nlink == 1
    alpha.close()
    beta.close()


def test_a_directory_that_cannot_be_made_is_not_listed_as_made(tmp_path: Path) -> None:
    """B21: a protected file is in its place, and what was replaced in that file can be had back."""
    filters = ("- *", "+ */")
    with Pair(str(tmp_path), filters=filters, versions=Versions(3600.0)) as pair:
        write(f"{pair.b}/d", "protected")
        os.mkdir(f"{pair.a}/d")
        os.mkdir(f"{pair.a}/e")
        _, applied = pair.replicate()
        assert [each.entry for each in applied.problems] == ["d"]
        assert [fields["path"] for _, fields in logged(pair.b)] == ["e"]
        assert read(f"{pair.b}/d") == b"protected"
