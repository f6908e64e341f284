"""B62: two machines with nothing but SBS on them become a pair, and change an identity later."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from sbs.adapters.transports.identity import read_identity, read_pins
from sbs.core.frames import PREAMBLE
from tests.cli.waiting import waiting
from tests.support import FAST, NodeProcess, free_ports, sbs, table, wait_until


class Machine(NodeProcess):
    """A node that ``sbs init`` has made."""

    def __init__(self, directory: Path, listen: int, peer: int) -> None:
        super().__init__(directory, listen=listen, peer=peer)
        self.config.unlink()
        made = sbs(
            *("init", "-c", self.config, "--name", self.name, "--state-dir", "state"),
            *("--listen", self.address, "--peer", f"127.0.0.1:{peer}"),
        )
        assert (made.returncode, made.stderr) == (0, "")
        with self.config.open("a") as file:
            file.write(table("[failover]", FAST["failover"]))
            file.write(table("[[folders]]", {"name": "data", "path": "data"}))
        self.identity = directory / "identity.pem"
        self.pins = directory / "peer.pem"

    def greets(self, caller: Path) -> bool:
        """Whether this node speaks with whoever has the identity ``caller``."""
        context = _client(caller)
        host, _, port = self.address.partition(":")
        with socket.create_connection((host, int(port)), 20) as sock:
            try:
                with context.wrap_socket(sock) as tls:
                    return tls.recv(len(PREAMBLE)) == PREAMBLE
            except ssl.SSLError:  # the alert that says why
                return False

    def shows(self, caller: Path) -> bytes:
        """The certificate by which it proves who it is."""
        host, _, port = self.address.partition(":")
        with (
            socket.create_connection((host, int(port)), 20) as sock,
            _client(caller).wrap_socket(sock) as tls,
        ):
            return tls.getpeercert(binary_form=True) or b""


def _client(identity: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(identity)
    return context


class Callers(threading.Thread):
    """Calls both nodes again and again, each as the other one; counts."""

    def __init__(self, one: Machine, other: Machine) -> None:
        super().__init__()
        self._ways = ((one, other), (other, one))
        self.ending = threading.Event()
        self.calls = self.refused = 0

    def run(self) -> None:
        while not self.ending.is_set():
            for caller, called in self._ways:
                self.refused += not called.greets(caller.identity)
                self.calls += 1


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Machine, Machine]:
    a, b = free_ports(2)
    return Machine(tmp_path / "alpha", a, b), Machine(tmp_path / "beta", b, a)


def pair(one: Machine, other: Machine, *words: str) -> None:
    """``sbs pair`` on both."""
    with waiting(one.config, *words) as (process, address, code):
        called = other.sbs("pair", address, code)
        assert (called.returncode, called.stderr) == (0, "")
        process.communicate(timeout=20)
        assert process.returncode == 0


def test_a_pair_is_begun_and_later_renewed_while_it_runs(
    machines: tuple[Machine, Machine], tmp_path: Path
) -> None:
    alpha, beta = machines
    not_yet = alpha.sbs("run")
    assert not_yet.returncode == 78
    assert "peer.pem: does not exist; sbs pair makes it, once on each node" in not_yet.stderr
    try:
        pair(alpha, beta)
        alpha.start()
        alpha.wait_role("primary")
        beta.start()
        beta.wait_role("secondary")
        wait_until(lambda: alpha.status()["in_step"], "the nodes are in step")
        (alpha.folder / "settings").write_text("blue")
        assert alpha.sbs("sync").returncode == 0
        assert (beta.folder / "settings").read_text() == "blue"

        former = tmp_path / "former.pem"
        former.touch(0o600)
        former.write_bytes(alpha.identity.read_bytes())
        assert beta.greets(former)
        callers = Callers(alpha, beta)
        callers.start()
        try:
            wait_until(lambda: callers.calls > 10, "both are called")
            pair(beta, alpha)  # nothing changes
            with waiting(alpha.config, "--renew") as (process, address, code):
                assert beta.sbs("pair", address, code).returncode == 0
                process.communicate(timeout=20)
                assert process.returncode == 0
        finally:
            callers.ending.set()
            callers.join()
        assert callers.refused == 0, callers.calls

        renewed = read_identity(str(alpha.identity))
        assert renewed != read_identity(str(former))
        assert read_pins(str(beta.pins)) == (renewed,)
        assert alpha.shows(beta.identity) == renewed.der
        assert beta.greets(alpha.identity)
        assert not beta.greets(former)
        assert [node.status()["role"] for node in machines] == ["primary", "secondary"]

        beta.stop()
        beta.start()
        beta.wait_role("secondary")
        (alpha.folder / "settings").write_text("green")
        assert alpha.sbs("sync").returncode == 0
        assert (beta.folder / "settings").read_text() == "green"
        beta.stop()
        alpha.stop()
    finally:
        alpha.end()
        beta.end()
