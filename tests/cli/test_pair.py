"""B62: ``sbs pair``, in real processes that meet on loopback."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sbs.adapters.transports.identity import read_identity, read_pins
from tests.cli.waiting import waiting
from tests.support import ROOT, SBS, WAIT_S, Pair, answering, free_ports, sbs


class Side:
    """A node that never runs: a configuration in a directory of its own."""

    def __init__(self, directory: Path, tls: str) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.config = directory / "sbs.toml"
        self.config.write_text(
            f'[node]\nname = "{directory.name}"\npeer = "127.0.0.1:1"\nstate_dir = "state"\n{tls}'
        )

    def sbs(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*SBS, *words, "-c", str(self.config)],
            cwd=ROOT,
            input=text or "",
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    def waiting(
        self, *words: str
    ) -> AbstractContextManager[tuple[subprocess.Popen[str], str, str]]:
        return waiting(self.config, *words)

    @property
    def pinned(self) -> list[str]:
        return [pin.fingerprint for pin in read_pins(str(self.directory / "peer.pem"))]

    @property
    def fingerprint(self) -> str:
        return read_identity(str(self.directory / "identity.pem")).fingerprint


TLS = '[tls]\nidentity = "identity.pem"\npeer_certificate = "peer.pem"\n'


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Side, Side]:
    return Side(tmp_path / "idle" / "alpha", TLS), Side(tmp_path / "idle" / "beta", TLS)


def paired(
    one: Side, other: Side, *, waits: tuple[str, ...] = (), calls: tuple[str, ...] = ()
) -> tuple[str, str]:
    """Pair both; return what each printed at the end."""
    with one.waiting(*waits) as (process, address, code):
        called = other.sbs("pair", address, code, *calls)
        assert (called.returncode, called.stderr) == (0, "")
        out, err = process.communicate(timeout=WAIT_S)
        assert (process.returncode, err) == (0, "")
    return out, called.stdout


def test_both_print_the_same_fingerprints(sides: tuple[Side, Side]) -> None:
    alpha, beta = sides
    ours, theirs = paired(alpha, beta)
    lines = ours.splitlines()
    assert lines[0] == "alpha and beta know each other"
    assert re.fullmatch(r"this node  alpha, until 20\d\d-\d\d-\d\d", lines[1])
    assert lines[2] == f"  {alpha.fingerprint}"
    assert re.fullmatch(r"its peer   beta, until 20\d\d-\d\d-\d\d", lines[3])
    assert lines[4:] == [f"  {beta.fingerprint}"]
    assert theirs.splitlines()[0] == "beta and alpha know each other"
    assert theirs.splitlines()[2::2] == [f"  {beta.fingerprint}", f"  {alpha.fingerprint}"]
    assert (alpha.pinned, beta.pinned) == ([beta.fingerprint], [alpha.fingerprint])
    shown = alpha.sbs("pair", "--show")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == lines[1:]


def test_the_code_is_asked_for_where_it_is_left_out(sides: tuple[Side, Side]) -> None:
    alpha, beta = sides
    with alpha.waiting() as (process, address, code):
        called = beta.sbs("pair", address, text=f"12 34\n{code.replace('-', ' ')}\n")
        assert called.returncode == 0, called.stderr
        assert "allowed is a code of 9 digits" in called.stderr + called.stdout
        process.communicate(timeout=WAIT_S)
        assert process.returncode == 0


def test_a_wrong_code_is_told_on_both_sides_and_the_third_ends_it(
    sides: tuple[Side, Side],
) -> None:
    alpha, beta = sides
    with alpha.waiting() as (process, address, code):
        wrong = f"{(int(code.replace('-', '')) + 1) % 10**9:09}"
        for _ in range(3):
            called = beta.sbs("pair", address, wrong)
            assert called.returncode == 1
            assert called.stderr == (
                "Error: the code is wrong; use the one that sbs pair shows on the other node now\n"
                "       nothing was changed on this node\n"
            )
        _, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 1
        assert err.splitlines() == [
            "Warning: a wrong code came from 127.0.0.1; allowed are 2 more",
            "Warning: a wrong code came from 127.0.0.1; allowed are 1 more",
            "Warning: a wrong code came from 127.0.0.1; allowed are 0 more",
            "Error: 3 wrong codes came, and nothing was changed; somebody may be guessing; run sbs "
            "pair again for a new code",
        ]
        gone = beta.sbs("pair", address, code)
    assert gone.returncode == 3
    assert gone.stderr.startswith(f"Error: nobody waits at {address}; run sbs pair on the other")
    assert not (alpha.directory / "peer.pem").exists()
    assert not (beta.directory / "peer.pem").exists()


@pytest.mark.parametrize("who", ["alpha", "beta"])
def test_a_renewal_replaces_the_identity_on_both(sides: tuple[Side, Side], who: str) -> None:
    alpha, beta = sides
    paired(alpha, beta)
    before = {side.directory.name: side.fingerprint for side in sides}
    renew = ("--renew",)
    paired(alpha, beta, waits=renew if who == "alpha" else (), calls=renew if who == "beta" else ())
    for side, other in (sides, sides[::-1]):
        assert side.pinned == [other.fingerprint]
        name = side.directory.name
        assert (side.fingerprint != before[name]) is (name == who)


def test_a_copied_machine_is_found_out_and_told_what_to_do(sides: tuple[Side, Side]) -> None:
    alpha, beta = sides
    with alpha.waiting() as (process, address, code):
        identity = beta.directory / "identity.pem"
        identity.write_bytes((alpha.directory / "identity.pem").read_bytes())
        identity.chmod(0o600)
        called = beta.sbs("pair", address, code)
        _, err = process.communicate(timeout=WAIT_S)
    for text in (called.stderr, err):
        assert "both nodes have the same identity" in text
        assert "run sbs pair --renew on one of them" in text


def test_an_interrupted_wait_leaves_no_traceback_and_changes_nothing(
    sides: tuple[Side, Side],
) -> None:
    with sides[0].waiting() as (process, _, _):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert err.strip() == "Aborted!"
    assert os.listdir(sides[0].directory).count("peer.pem") == 0


def test_the_port_of_a_node_is_told_from_that_of_sbs_pair(
    sides: tuple[Side, Side], pair: Pair
) -> None:
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    called = sides[1].sbs("pair", pair.alpha.address, "123456789")
    assert called.returncode == 1
    assert called.stderr.startswith("Error: that is the port of a node that runs, not of sbs pair")
    with answering(b"SSH-2.0-OpenSSH_9.6\r\n") as address:
        called = sides[1].sbs("pair", address, "123456789")
    assert called.stderr.startswith("Error: the other side is no sbs pair\n")


def test_without_tls_it_says_which_lines_to_add(tmp_path: Path) -> None:
    side = Side(tmp_path / "alpha", "")
    done = side.sbs("pair")
    assert done.returncode == 78
    lines = [line.strip() for line in done.stderr.splitlines()]
    assert lines[1:4] == TLS.splitlines()
    with side.config.open("a") as file:
        file.write("\n".join(lines[1:4]) + "\n")
    assert side.sbs("pair", "--show").stderr.startswith("Error: tls.identity ")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["localhost:4449", "12345"], "CODE: allowed is a code of 9 digits"),
        (["a:b:c", "123456789"], "ADDRESS: 'a:b:c'"),
        (["--listen", "x y"], "--listen: host 'x y'"),
        (["--show", "localhost"], "ADDRESS has no meaning with --show"),
        (["--show", "--renew"], "--renew has no meaning with --show"),
        (["localhost", "123456789", "--listen", "::"], "--listen has no meaning with ADDRESS"),
    ],
)
def test_wrong_usage_is_told(sides: tuple[Side, Side], words: list[str], text: str) -> None:
    done = sides[0].sbs("pair", *words)
    assert done.returncode == 2
    assert text in done.stderr
    assert not (sides[0].directory / "identity.pem").exists()


def test_a_port_that_is_taken_is_told_at_once(sides: tuple[Side, Side]) -> None:
    with sides[0].waiting() as (_, address, _):
        done = sides[1].sbs("pair", "--listen", address)
    assert done.returncode == 1
    assert f"cannot listen on {address}" in done.stderr


def test_the_shown_command_names_an_address_and_no_wildcard(tmp_path: Path) -> None:
    """Of a node that listens everywhere: the address from which it reaches its peer."""
    side = Side(tmp_path / "alpha", TLS)
    port = free_ports(1)[0]
    with subprocess.Popen(
        [*SBS, "pair", "--listen", f"0.0.0.0:{port}", "-c", str(side.config)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            words = shlex.split(process.stdout.readline())
        finally:
            process.kill()
    assert words[:3] == ["sbs", "pair", f"127.0.0.1:{port}"]


def test_an_address_that_the_other_node_cannot_call_is_warned_of(tmp_path: Path) -> None:
    side = Side(tmp_path / "alpha", TLS)
    side.config.write_text(side.config.read_text().replace("127.0.0.1:1", "192.0.2.2"))
    with side.waiting() as (process, address, _):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WAIT_S)
    assert err.startswith("Warning: 127.0.0.1:0 can be called from this machine alone; name anoth")
    assert address.startswith("127.0.0.1:")


def test_help_shows_both_halves() -> None:
    done = sbs("pair", "-h")
    assert "Usage: sbs pair [OPTIONS] [ADDRESS] [CODE]" in done.stdout.replace("python -m ", "")
