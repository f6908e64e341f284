"""What a node exposes."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

import pytest

from tests.system.nodes import Node, Pair

WRONG_CONFIGURATION = 78
LISTENING = "0A"


def listening(node: Node) -> set[str]:
    """Addresses on which the process of a node listens for TCP, as the kernel has them."""
    assert node.process is not None
    process = Path(f"/proc/{node.process.pid}")
    inodes = {os.readlink(fd) for fd in (process / "fd").iterdir() if fd.is_symlink()}
    found: set[str] = set()
    for table in ("net/tcp", "net/tcp6"):
        for line in (process / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and f"socket:[{fields[9]}]" in inodes:
                found.add(_address(fields[1].partition(":")[0]))
    return found


def _address(digits: str) -> str:
    # The kernel prints 32-bit words in the machine's order; this test runs on little endian.
    words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def test_nodes_listen_on_loopback_only(pair: Pair) -> None:
    """B62: on the configured address, and nowhere else; the control socket is the owner's."""
    for node in pair.start():
        assert listening(node) == {"127.0.0.1"}
        assert (node.state_dir / "control.sock").stat().st_mode & 0o077 == 0
        assert node.state_dir.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_listening_beyond_loopback_is_refused(pair: Pair, host: str) -> None:
    """B62: unless the configuration says so explicitly."""
    alpha = pair.alpha
    alpha.configure({"node": {"listen": f"{host}:{alpha.port}"}})
    alpha.start()
    assert alpha.wait() == WRONG_CONFIGURATION
    assert "tls.insecure" in alpha.log_text
    alpha.configure({"tls": {"insecure": True}})
    alpha.start()
    alpha.wait_role("primary")
    assert listening(alpha) == {host.strip("[]")}


def test_one_node_to_a_state_directory(pair: Pair) -> None:
    """B2: a second process with the same state is refused, and harms nothing."""
    alpha, _ = pair.start()
    pid = alpha.wait_service()["pid"]
    done = alpha.sbs("run")
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert alpha.role == "primary"
    assert alpha.wait_service()["pid"] == pid
