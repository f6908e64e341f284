"""The primary is gone, by process death or freeze; the secondary is there."""

from __future__ import annotations

import json
import signal
import time

from tests.support import wait_until
from tests.system.nodes import Node, Pair

SLACK_S = 0.5
"""What a takeover may need beyond the down interval (issue: Must show 3)."""


def epoch_of(node: Node) -> int:
    return int(node.status()["epoch"])


def take_role(pair: Pair, node: Node, other: Node) -> None:
    """Wait until exactly ``node`` serves as primary and ``other`` follows it, without service."""
    pair.wait_settled(node, other)
    node.wait_service()
    assert not other.serves


def test_kill_of_the_primary_is_a_takeover(pair: Pair) -> None:
    """R7, B2, B31 (Must show 2): services die with SBS; the other node has them, one epoch on."""
    alpha, beta = pair.start()
    first = alpha.wait_service()
    before = epoch_of(alpha)
    alpha.kill()
    beta.wait_role("primary")
    shown = json.loads(beta.sbs("status", "--json").stdout)
    assert shown["role"] == "primary"
    assert shown["epoch"] == before + 1
    answer = beta.wait_service()
    assert answer["node"] == "beta"
    assert answer["epoch"] > first["epoch"]
    wait_until(lambda: beta.status()["services"]["active"] == ["web"], "the service is active")
    assert not alpha.serves


def test_a_killed_node_returns_as_secondary(pair: Pair) -> None:
    """R1, R7: what runs stays; the returning node takes what was written meanwhile."""
    alpha, beta = pair.start()
    alpha.kill()
    beta.wait_role("primary")
    (beta.folder / "meanwhile").write_bytes(b"written by beta")
    alpha.start()
    take_role(pair, beta, alpha)
    alpha.wait_file("meanwhile", b"written by beta")
    beta.kill()
    alpha.wait_role("primary")
    assert alpha.wait_service()["node"] == "alpha"


def test_freeze_of_the_primary_is_a_takeover(pair: Pair) -> None:
    """R7, B2 (Must show 3): after the down interval; the thawed node stops and follows."""
    alpha, beta = pair.start()
    before = epoch_of(alpha)
    frozen_at = time.monotonic()
    alpha.signal(signal.SIGSTOP)
    beta.wait_role("primary", timeout_s=2.0 + SLACK_S)
    assert time.monotonic() - frozen_at <= 2.0 + SLACK_S
    assert epoch_of(beta) == before + 1
    beta.wait_service()
    alpha.signal(signal.SIGCONT)
    take_role(pair, beta, alpha)
    assert epoch_of(alpha) == epoch_of(beta)


def test_a_short_freeze_changes_nothing(pair: Pair) -> None:
    """R7 (Must show 3): a second of silence is less than the down interval, on either side."""
    alpha, beta = pair.start()
    before = epoch_of(alpha)
    for node in (alpha, beta):
        node.signal(signal.SIGSTOP)
        time.sleep(1.0)
        node.signal(signal.SIGCONT)
        (alpha.folder / node.name).write_bytes(b"after the freeze")
        beta.wait_file(node.name, b"after the freeze")
    assert (alpha.role, beta.role) == ("primary", "secondary")
    assert epoch_of(alpha) == epoch_of(beta) == before


def test_a_frozen_secondary_does_not_take_over(pair: Pair) -> None:
    """R7 (Must show 3): who did not listen cannot call the other silent."""
    alpha, beta = pair.start()
    before = epoch_of(alpha)
    beta.signal(signal.SIGSTOP)
    time.sleep(5.0)
    beta.signal(signal.SIGCONT)
    (alpha.folder / "later").write_bytes(b"later")
    beta.wait_file("later", b"later")
    pair.wait_settled(alpha, beta)
    assert epoch_of(alpha) == epoch_of(beta) == before
    assert "role primary" not in beta.log_text


def test_both_nodes_are_killed_and_restarted(pair: Pair) -> None:
    """R1, R5, B20: the pair comes up again with one primary, a newer epoch and all data."""
    alpha, beta = pair.start()
    before = epoch_of(alpha)
    (alpha.folder / "kept").write_bytes(b"kept")
    beta.wait_file("kept", b"kept")
    for node in (beta, alpha):
        node.kill()
    assert not alpha.serves
    for node in pair.nodes:
        node.start()
    roles = ("primary", "secondary")
    wait_until(lambda: sorted(node.role for node in pair.nodes) == sorted(roles), "one primary")
    primary, secondary = sorted(pair.nodes, key=lambda node: node.role)
    take_role(pair, primary, secondary)
    assert epoch_of(primary) > before
    for node in pair.nodes:
        assert (node.folder / "kept").read_bytes() == b"kept"
