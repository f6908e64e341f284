"""Which files reach the secondary, where, and with what time stamp."""

from __future__ import annotations

import os
from pathlib import Path

from tests.replication.mounts import folding_directory
from tests.support import require, wait_until
from tests.system.nodes import Node, Pair

LEARNED = "/proc/self/cwd/learned"
"""One path, two places: on one machine each node finds its own directory behind it."""


def pass_through(source: Node, copy: Node, name: str) -> None:
    """Wait until an update that begins now is on the copy."""
    (source.folder / name).write_text(name)
    copy.wait_file(name, name.encode())


def test_deleted_files_stay_by_default(pair: Pair) -> None:
    """R22: every file is duplicated; what only the secondary has is left alone."""
    (pair.beta.folder / "own").write_text("of beta")
    (pair.alpha.folder / "gone").write_text("soon")
    alpha, beta = pair.start()
    beta.wait_file("gone", b"soon")
    (alpha.folder / "gone").unlink()
    pass_through(alpha, beta, "next")
    assert (beta.folder / "gone").read_text() == "soon"
    assert (beta.folder / "own").read_text() == "of beta"


def test_strict_delete(pair: Pair) -> None:
    """R21, R22: what the primary does not have goes, except what a filter excludes."""
    pair.configure({"sync": {"strict_delete": True, "max_deletes": "off"}})
    for node in pair.nodes:
        node.tables["folders"][0]["filters"] = ["- *.local"]
        node.configure({})
    (pair.beta.folder / "own").write_text("of beta")
    (pair.beta.folder / "kept.local").write_text("of beta")
    (pair.alpha.folder / "not-sent.local").write_text("of alpha")
    (pair.alpha.folder / "directory").mkdir()
    (pair.alpha.folder / "directory" / "gone").write_text("soon")
    alpha, beta = pair.start()
    beta.wait_file("directory/gone", b"soon")
    wait_until(lambda: not (beta.folder / "own").exists(), "what only beta had is gone")
    (alpha.folder / "directory" / "gone").unlink()
    (alpha.folder / "directory").rmdir()
    wait_until(
        lambda: set(os.listdir(beta.folder)) == {"kept.local", ".sbs.staging"},
        "all but the excluded is gone",
    )
    assert (beta.folder / "kept.local").read_text() == "of beta"
    (conflict,) = beta.status()["conflicts"]  # what only beta had is not destroyed
    assert conflict["path"] == "own"
    assert (beta.folder / conflict["kept"]).read_text() == "of beta"


def test_preserve_mtime(pair: Pair) -> None:
    """R23: the copy bears the source's time stamp, to the nanosecond."""
    pair.configure({"sync": {"preserve_mtime": True}})
    source = pair.alpha.folder / "file"
    source.write_text("old")
    os.utime(source, ns=(1, 1_000_000_000_123_456_789))
    alpha, beta = pair.start()
    beta.wait_file("file", b"old")
    assert (beta.folder / "file").stat().st_mtime_ns == 1_000_000_000_123_456_789
    os.utime(source, ns=(1, 1_100_000_000_000_000_001))
    pass_through(alpha, beta, "next")
    assert (beta.folder / "file").stat().st_mtime_ns == 1_100_000_000_000_000_001


def test_time_of_the_copy(pair: Pair) -> None:
    """R23: by default the copy bears the time at which it was made."""
    source = pair.alpha.folder / "file"
    source.write_text("old")
    os.utime(source, ns=(1, 1))
    before = pair.beta.folder.stat().st_mtime
    _, beta = pair.start()
    beta.wait_file("file", b"old")
    assert (beta.folder / "file").stat().st_mtime >= before


def test_owner_and_extended_attributes(pair: Pair) -> None:
    """R24: asked for on the primary alone; a change of them alone arrives as well."""
    require(root=True)
    pair.alpha.tables["folders"][0] |= {"owner": True, "xattr": True}
    pair.alpha.configure({})
    source = pair.alpha.folder / "file"
    source.write_text("text")
    os.chown(source, 61234, 61235)
    os.setxattr(source, "user.comment", b"first")
    alpha, beta = pair.start()
    beta.wait_file("file", b"text")
    copy = beta.folder / "file"
    before = copy.stat()
    assert (before.st_uid, before.st_gid) == (61234, 61235)
    assert os.getxattr(copy, "user.comment") == b"first"
    os.setxattr(source, "user.comment", b"second")
    wait_until(lambda: os.getxattr(copy, "user.comment") == b"second", "the change arrives")
    assert copy.stat().st_ino == before.st_ino, "no content was sent"
    assert alpha.status()["problems"] == alpha.status()["notes"] == []


def test_hard_links_are_told_and_no_problem(pair: Pair) -> None:
    """Each name is replicated as a file of its own; whoever counts problems sees none."""
    (pair.alpha.folder / "one").write_text("text")
    os.link(pair.alpha.folder / "one", pair.alpha.folder / "two")
    alpha, beta = pair.start()
    beta.wait_file("one", b"text")
    beta.wait_file("two", b"text")
    wait_until(lambda: alpha.status()["notes"], "the primary says so")
    (note,) = alpha.status()["notes"]
    assert note.endswith("each is replicated as a file of its own: one, two")
    assert alpha.status()["problems"] == []


def test_a_secondary_that_folds_names(pair: Pair, tmp_path: Path) -> None:
    """Adversarial case 15: one of two names, the other is told; a new case arrives."""
    with folding_directory("exfat", tmp_path) as place:
        pair.beta.folder = Path(place)
        pair.beta.tables["folders"][0]["path"] = place
        pair.beta.configure({})
        try:
            (pair.alpha.folder / "README").write_text("capital")
            (pair.alpha.folder / "readme").write_text("small")
            alpha, beta = pair.start()
            beta.wait_file("README", b"capital")
            (told,) = alpha.status()["problems"]
            assert told.startswith("data/readme: the secondary's file system takes its name")
            (alpha.folder / "readme").unlink()
            (alpha.folder / "README").rename(alpha.folder / "ReadMe")
            wait_until(lambda: "ReadMe" in os.listdir(place), "the new name")
            beta.wait_file("ReadMe", b"capital")
            pass_through(alpha, beta, "next")
            assert set(os.listdir(place)) - {".sbs.staging"} == {"ReadMe", "next"}
            assert alpha.status()["problems"] == []
        finally:
            for node in pair.nodes:
                node.kill()


def learning(pair: Pair, *accept_under: str) -> None:
    """Alpha names a folder that beta has to learn."""
    folder = {"name": "learned", "path": LEARNED, "filters": ["- *.tmp"]}
    pair.alpha.configure({"folders": [folder]})
    pair.beta.configure({"folders": [], "sync": {"accept_under": list(accept_under)}})
    for node in pair.nodes:
        node.folder = node.directory / "learned"
        node.cwd = node.directory
    pair.alpha.folder.mkdir()


def test_a_learned_folder_is_used_after_a_takeover(pair: Pair) -> None:
    """R24: with its settings, also after a restart of the node that learned it."""
    learning(pair, "/proc/self/cwd")
    alpha, beta = pair.start()
    pass_through(alpha, beta, "from-alpha")
    alpha.kill()
    beta.wait_role("primary")
    alpha.start()
    pair.wait_settled(beta, alpha)
    (beta.folder / "excluded.tmp").write_text("not sent")
    pass_through(beta, alpha, "from-beta")
    for node in (alpha, beta):
        node.kill()
    beta.start()
    beta.wait_role("primary")
    alpha.start()
    pair.wait_settled(beta, alpha)
    pass_through(beta, alpha, "after-the-restart")
    assert not (alpha.folder / "excluded.tmp").exists()


def test_a_folder_that_is_not_accepted(pair: Pair) -> None:
    """R24: the secondary takes nothing, both nodes say what to do, and nobody takes over."""
    elsewhere = pair.beta.directory / "elsewhere"
    elsewhere.mkdir()
    learning(pair, str(elsewhere))
    alpha, beta = pair.alpha, pair.beta
    (alpha.folder / "file").write_text("not for beta")
    alpha.start()
    alpha.wait_role("primary")
    beta.start()
    beta.wait_role("secondary")
    for node in pair.nodes:
        text = node.wait_alarm("update-failed")
        assert "learned" in text
        assert "sync.accept_under" in text
    assert not beta.folder.exists()
    assert alpha.sbs("sync").returncode == 1
    alpha.kill()
    beta.wait_role("waiting")
    assert "not taking over" in beta.wait_alarm("no-generation")
    assert not beta.serves
    beta.stop()
    beta.configure({"sync": {"accept_under": ["/proc/self/cwd"]}})
    pair.start()
    beta.wait_file("file", b"not for beta")
    for node in pair.nodes:
        node.wait_no_alarm()
