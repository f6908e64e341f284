"""Services that commands start, under real nodes: what docs/services.md promises, and what not."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import is_alive, wait_until
from tests.system.nodes import SERVICE, Node, Pair

SCRIPT = r"""
pid=$(cat "$2" 2>/dev/null)
lives() { grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status"; }
case $1 in
start) setsid "$3" -I -S "$4" "$5" > /dev/null 2>&1 < /dev/null & echo $! > "$2" ;;
stop) lives && kill -9 "$pid"; exit 0 ;;
status) lives ;;
esac
"""


def pid_file(node: Node) -> Path:
    return node.directory / "pid"


@pytest.fixture
def commanded(pair: Pair) -> Iterator[Pair]:
    """A pair whose service is started by a script; whatever happens, none of it stays behind."""
    for node in pair.nodes:
        script = node.directory / "service.sh"
        script.write_text(SCRIPT)
        words = [str(pid_file(node)), sys.executable, SERVICE, str(node.service)]
        unit = {"name": "web"} | {
            word: ["sh", str(script), word, *words] for word in ("start", "stop", "status")
        }
        node.configure({"services": {"adapter": "command", "unit": [unit]}})
    yield pair
    pair.end()
    for node in pair.nodes:
        if pid_file(node).exists() and is_alive(pid := int(pid_file(node).read_text())):
            os.kill(pid, signal.SIGKILL)


def test_they_move_with_the_role(commanded: Pair) -> None:
    """R8, R32, B30: stopped here before they start there, each time under a token of its own."""
    alpha, beta = commanded.start()
    first = alpha.wait_service()
    done = alpha.sbs("switchover")
    assert done.returncode == 0, done.stderr
    second = beta.wait_service()
    assert second["epoch"] > first["epoch"]
    assert not alpha.serves
    assert not is_alive(first["pid"])
    beta.stop()
    alpha.wait_service()
    assert not is_alive(second["pid"])


def test_a_crash_is_seen_and_mended(commanded: Pair) -> None:
    """B32, R32: although it is nobody's child."""
    alpha, _ = commanded.start()
    first = alpha.wait_service()
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: alpha.status()["services"]["restarts"] == {"web": 1}, "it is started again")
    assert alpha.wait_service()["epoch"] == first["epoch"]


def test_they_outlive_a_killed_sbs_until_it_starts_again(commanded: Pair) -> None:
    """B31, R30: the other node does not take the refused connection for proof; SBS, started
    again, stops what its predecessor left, whoever leads now."""
    alpha, beta = commanded.start()
    left = alpha.wait_service()
    alpha.kill()
    beta.wait_service()
    assert "the primary was silent for the down interval" in beta.log_text
    assert alpha.serves, "this is what the page warns of"
    alpha.start()
    commanded.wait_settled(beta, alpha)
    assert not is_alive(left["pid"])
    assert not alpha.serves
    assert "service web runs, and SBS has not started it: stopped" in alpha.log_text
