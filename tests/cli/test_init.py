"""B62: ``sbs init`` writes a first configuration, and makes an identity."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sbs.adapters.transports.identity import read_identity
from sbs.config import load
from tests.support import ROOT, SBS, WAIT_S, sbs


def test_a_script_needs_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "sbs" / "sbs.toml"
    done = sbs(
        *("init", "-c", path, "--name", "alpha", "--listen", "127.44.61.1"),
        *("--peer", "127.0.0.2:5000", "--state-dir", "state"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    config = load(path)
    node = config.node
    assert (node.name, str(node.listen), str(node.peer)) == (
        "alpha",
        "127.44.61.1:4445",
        "127.0.0.2:5000",
    )
    assert node.state_dir == str(path.parent / "state")
    assert config.tls.identity == str(path.parent / "identity.pem")
    assert config.tls.peer_certificate == str(path.parent / "peer.pem")
    assert sorted(os.listdir(path.parent)) == ["identity.pem", "sbs.toml"]
    assert os.stat(config.tls.identity).st_mode & 0o777 == 0o600
    identity = read_identity(config.tls.identity)
    assert identity.name == "alpha"
    assert f"  {identity.fingerprint}\n" in done.stdout
    assert f"sbs pair -c {path}, and on the other node what it shows" in done.stdout


def test_defaults_are_taken_where_nobody_can_be_asked(tmp_path: Path) -> None:
    done = sbs("init", "-c", tmp_path / "sbs.toml", "--peer", "127.0.0.1:4446")
    assert done.returncode == 0, done.stderr
    node = load(tmp_path / "sbs.toml").node
    assert str(node.listen) == "127.0.0.1:4445"  # from where it reaches the peer
    assert node.state_dir == "/var/lib/sbs"


def test_without_a_terminal_the_peer_must_be_named(tmp_path: Path) -> None:
    done = sbs("init", "-c", tmp_path / "sbs.toml")
    assert done.returncode == 2
    assert "--peer is needed where nobody can be asked" in done.stderr
    assert os.listdir(tmp_path) == []


EOF = "\x04"

CTRL_C = "\x03"

LATER = ["", "later"]
"""Write it, and pair later."""


def interrupt(process: subprocess.Popen[bytes], screen: int) -> None:
    """Press Ctrl-C until something is seen of it: between prompt and read it may be lost."""
    give_up_at = time.monotonic() + WAIT_S
    while not select.select([screen], [], [], 0.1)[0]:
        assert time.monotonic() < give_up_at
        process.send_signal(signal.SIGINT)


def ask(path: Path, answers: list[str], *options: str) -> tuple[int, str]:
    """Run ``sbs init`` on a terminal; type an answer at each colon; its exit code and screen.

    What is asked beyond the answers gets an end of input, and that ends the program.
    """
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*SBS, "init", "-c", str(path), *options],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        screen = b""
        try:
            while True:
                ready, _, _ = select.select([ours], [], [], WAIT_S)
                assert ready, screen
                try:
                    piece = os.read(ours, 4096)
                except OSError:  # the other end was closed
                    break
                screen += piece
                if screen.endswith(b": "):
                    answer = answers.pop(0) if answers else EOF
                    if answer == CTRL_C:
                        interrupt(process, ours)
                    else:
                        os.write(ours, (answer if answer == EOF else f"{answer}\n").encode())
            return process.wait(WAIT_S), screen.decode()
        finally:
            process.kill()
            os.close(ours)


def test_a_person_is_asked_and_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    answers = ["_", "alpha", "", "be ta", "127.0.0.1:4446", "", "/srv/state", "", *LATER]
    code, screen = ask(path, answers)
    assert code == 0, screen
    assert answers == []
    for words in (
        r"Name of this node \[.+\]: ",
        r"name: allowed is 1 to 64 printable characters, a letter or digit first",
        r"Address of the other node: ",
        r"peer: host 'be ta'",
        r"Address of this node \[127\.0\.0\.1:4445\]: ",
        r"Directory for its state \[/var/lib/sbs\]: ",
        r"First folder to replicate, if any: ",
        r"Write .*sbs\.toml \(n: change the answers\)\? \[Y/n\]: ",
    ):
        assert re.search(words, screen), (words, screen)
    node = load(path).node
    assert (node.name, str(node.listen), node.state_dir) == (
        "alpha",
        "127.0.0.1:4445",
        "/srv/state",
    )


def test_what_options_say_is_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    options = ("--name", "a", "--peer", "127.0.0.1:1", "--listen", "127.0.0.1")
    code, screen = ask(path, ["", "", *LATER], *options)
    assert code == 0, screen
    assert "Name of this node" not in screen
    assert "Directory for its state" in screen


@pytest.mark.parametrize(
    "options", [["--no-input"], ["--name", "a", "--listen", "127.0.0.1", "--state-dir", "s"]]
)
def test_who_says_all_by_options_is_asked_nothing(tmp_path: Path, options: list[str]) -> None:
    code, screen = ask(tmp_path / "sbs.toml", [], "--peer", "127.0.0.1:1", *options)
    assert code == 0, screen
    assert "?" not in screen
    assert "  2. sbs pair -c" in screen


def test_answers_can_be_changed_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    first = ["alpha", "127.0.0.1:4446", "", "state", "data", "n"]
    second = ["", "127.0.0.1:4447", "", "", "", *LATER]
    code, screen = ask(path, [*first, *second])
    assert code == 0, screen
    for words in ("[alpha]", "[127.0.0.1:4446]", "[state]", "[data]"):
        assert words in screen
    config = load(path)
    assert (config.node.name, str(config.node.peer)) == ("alpha", "127.0.0.1:4447")
    (folder,) = config.folders
    assert (folder.name, folder.path) == ("data", str(tmp_path / "data"))


def test_answers_that_contradict_each_other_are_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    first = ["alpha", "127.0.0.1", "127.0.0.1", "state", ""]
    second = ["", "127.0.0.2", "", "", "", *LATER]
    code, screen = ask(path, [*first, *second])
    assert code == 0, screen
    assert "node.peer = " in screen
    assert str(load(path).node.peer) == "127.0.0.2:4445"


@pytest.mark.parametrize("end", [CTRL_C, EOF])
@pytest.mark.parametrize("asked", range(6))
def test_who_leaves_before_the_end_leaves_nothing_behind(
    tmp_path: Path, asked: int, end: str
) -> None:
    answers = ["alpha", "127.0.0.1:1", "", "state", "data"][:asked]
    code, screen = ask(tmp_path / "new" / "sbs.toml", [*answers, end])
    assert code == 1
    assert screen.endswith("Aborted!\r\n")
    assert os.listdir(tmp_path) == []


def test_who_leaves_at_an_offer_is_told_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    code, screen = ask(path, ["alpha", "127.0.0.1:1", "", "state", "", "", CTRL_C])
    assert code == 0, screen
    assert path.exists()
    assert "  2. sbs pair -c" in screen


def test_what_is_not_fit_is_told_with_what_to_do_and_written_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = sbs(
        *("init", "-c", tmp_path / "sbs.toml", "--peer", "no-such-host.invalid"),
        *("--listen", "192.0.2.1", "--state-dir", "file", "--folder", "missing"),
    )
    assert done.returncode == 0
    row = re.compile(r"^(?:warn|fail)  ([a-z. _]+): (.*\n      -> .*)$", re.MULTILINE)
    rows = dict(row.findall(done.stderr))
    assert set(rows) == {
        "name",
        "node.listen",
        "machine.address",
        "node.state_dir",
        "folder missing",
    }
    assert "192.0.2.1:4445" in rows["node.listen"]
    assert f"{tmp_path / 'file'} is no directory" in rows["node.state_dir"]
    assert "does not exist" in rows["folder missing"]
    assert "pass" not in done.stderr
    assert load(tmp_path / "sbs.toml").node.state_dir == str(tmp_path / "file")


@pytest.mark.parametrize(
    ("folder", "name"),
    [("/srv/app/settings/", "settings"), ("/srv/\x07", "data"), ('a/ä "x', 'ä "x')],
)
def test_a_folder_is_called_by_the_last_part_of_its_path(
    tmp_path: Path, folder: str, name: str
) -> None:
    done = sbs("init", "-c", tmp_path / "sbs.toml", "--peer", "127.0.0.1:1", "--folder", folder)
    assert done.returncode == 0, done.stderr
    assert [each.name for each in load(tmp_path / "sbs.toml").folders] == [name]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    path.write_text("mine")
    done = sbs("init", "-c", path, "--peer", "127.0.0.1:1")
    assert done.returncode == 4
    assert f"{path} exists, and sbs init overwrites nothing" in done.stderr
    other = sbs("init", "-c", tmp_path / "other.toml", "--peer", "127.0.0.1:1")
    assert other.returncode == 0, other.stderr
    before = (tmp_path / "identity.pem").read_bytes()
    third = sbs("init", "-c", tmp_path / "third.toml", "--peer", "127.0.0.1:1")
    assert third.returncode == 4
    assert "may be the identity of another node here" in third.stderr
    assert path.read_text() == "mine"
    assert (tmp_path / "identity.pem").read_bytes() == before
    assert not (tmp_path / "third.toml").exists()


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--peer", "a:b:c"], 2, "--peer: peer: an IPv6 address is written in brackets"),
        (["--peer", "127.0.0.1:0"], 2, "--peer: peer: port 0 cannot be reached"),
        (["--peer", "127.0.0.1:1", "--name", ""], 2, "--name: name: allowed is 1 to 64"),
        (["--peer", "h", "--listen", "h"], 78, "node.peer = "),
        (["--peer", "127.0.0.1:1", "--state-dir", ""], 2, "--state-dir: state_dir: allowed is"),
    ],
)
def test_what_is_not_allowed_is_told_before_anything_is_written(
    tmp_path: Path, options: list[str], code: int, text: str
) -> None:
    done = sbs("init", "-c", tmp_path / "sbs.toml", *options)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = sbs("init", "-c", tmp_path / "file" / "sbs.toml", "--peer", "127.0.0.1:1")
    assert done.returncode == 1
    assert "identity.pem cannot be written: " in done.stderr
    assert "run this as the account that runs the node" in done.stderr


def test_odd_names_are_written_as_toml(tmp_path: Path) -> None:
    name, state = 'ä "q" \\ \U0001f600', "/srv/s \u00a0\u2028'x'"
    done = sbs(
        *("init", "-c", tmp_path / "sbs.toml", "--peer", "127.0.0.1:1"),
        *("--name", name, "--state-dir", state),
    )
    assert done.returncode == 0, done.stderr
    node = load(tmp_path / "sbs.toml").node
    assert (node.name, node.state_dir) == (name, state)
