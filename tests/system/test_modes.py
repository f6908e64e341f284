"""The three modes, right and wrong combinations, with processes (Must show 6)."""

from __future__ import annotations

import json

import pytest

from tests.support import wait_until
from tests.system.nodes import Node, Pair

REFUSED = 4
WRONG_CONFIGURATION = 78


def only(pair: Pair, **failover: object) -> None:
    """Alpha is primary-only and beta backup-only."""
    pair.configure({"failover": {"failback_delay_s": 0.5, **failover}})
    pair.alpha.configure({"node": {"mode": "primary-only"}})
    pair.beta.configure({"node": {"mode": "backup-only"}})


def epochs_of(pair: Pair) -> list[int]:
    """``SBS_EPOCH`` of each start of a service, in the order of time."""
    lines = [line for node in pair.nodes for line in node.starts.read_text().splitlines()]
    starts = sorted(map(json.loads, lines), key=lambda start: start["started_at"])
    return [start["epoch"] for start in starts]


def test_a_node_without_peer_does_not_start(pair: Pair) -> None:
    """R2: the error names the setting, and the exit code says that it is the configuration."""
    pair.alpha.configure({"node": {"peer": None}})
    pair.alpha.start()
    assert pair.alpha.wait() == WRONG_CONFIGURATION
    assert "node.peer" in pair.alpha.log_text
    assert "Traceback" not in pair.alpha.log_text


@pytest.mark.parametrize("first", [0, 1])
def test_symmetric_the_first_to_run_is_primary(pair: Pair, first: int) -> None:
    """R1, R3: whatever the priorities say."""
    pair.alpha.configure({"node": {"priority": 200}})
    primary, secondary = pair.nodes[first], pair.nodes[1 - first]
    primary.start()
    primary.wait_role("primary")
    secondary.start()
    pair.wait_settled(primary, secondary)
    assert primary.wait_service()["node"] == primary.name
    assert not secondary.serves


def test_primary_only_takes_the_role_over_in_order(pair: Pair) -> None:
    """R4, R5, B5: the acting primary's changes come first; then it is secondary again."""
    only(pair)
    for node in pair.nodes:
        node.record_starts()
    alpha, beta = pair.start()
    for turn in range(2):
        alpha.wait_service()
        alpha.kill()
        beta.wait_role("primary")
        beta.wait_service()
        name = f"acting-{turn}"
        (beta.folder / name).write_bytes(b"written by beta")
        alpha.start()
        alpha.wait_role("primary")
        assert (alpha.folder / name).read_bytes() == b"written by beta"
        pair.wait_settled(alpha, beta)
        alpha.wait_service()
        assert not beta.serves
    epochs = epochs_of(pair)
    assert epochs == sorted(set(epochs))
    assert len(epochs) == 5


def test_primary_only_takes_the_role_from_a_symmetric_node(pair: Pair) -> None:
    """R4, R6: it always ends up primary; alone in its mode it is warned of, on both nodes."""
    only(pair)
    pair.beta.configure({"node": {"mode": "symmetric"}})
    pair.beta.start()
    pair.beta.wait_role("primary")
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    pair.wait_settled(pair.alpha, pair.beta)
    for node in pair.nodes:
        assert "belong together" in node.wait_alarm("mode-alone")


def test_failback_by_hand(pair: Pair) -> None:
    """R4, B5: with ``failback = "manual"`` the role stays until the administrator moves it."""
    only(pair, failback="manual", failback_delay_s=0)
    alpha, beta = pair.start()
    alpha.kill()
    beta.wait_role("primary")
    alpha.start()
    pair.wait_settled(beta, alpha)
    for turn in range(3):  # updates come and go; the role does not
        (beta.folder / "turn").write_text(str(turn))
        alpha.wait_file("turn", str(turn).encode())
    assert (alpha.role, beta.role) == ("secondary", "primary")
    done = beta.sbs("switchover")
    assert done.returncode == 0, done.stderr
    pair.wait_settled(alpha, beta)
    alpha.wait_service()


def test_backup_only_waits_for_a_primary(pair: Pair) -> None:
    """R5: alone it starts nothing, and says why; with a primary it is its secondary."""
    only(pair)
    pair.beta.start()
    pair.beta.wait_role("waiting")
    assert "waiting" in pair.beta.wait_alarm("no-primary")
    assert not pair.beta.serves
    pair.alpha.start()
    pair.wait_settled(pair.alpha, pair.beta)
    assert pair.alpha.wait_service()["node"] == "alpha"
    wait_until(lambda: not pair.beta.alarms, "no alarm stands")


def test_backup_only_resumes_its_takeover(pair: Pair) -> None:
    """R5: after a crash of its own, unless a primary answers; given back, it is over."""
    only(pair)
    alpha, beta = pair.start()
    alpha.kill()
    beta.wait_role("primary")
    first = beta.wait_service()["epoch"]
    beta.kill()
    beta.start()
    beta.wait_role("primary")
    assert beta.wait_service()["epoch"] > first
    alpha.start()
    alpha.wait_role("primary")
    pair.wait_settled(alpha, beta)
    for node in (beta, alpha):
        node.kill()
    beta.start()
    beta.wait_role("waiting")
    assert not beta.serves


@pytest.mark.parametrize(
    ("name", "mode"), [("alpha", "primary-only"), ("beta", "primary-only"), ("beta", "backup-only")]
)
def test_one_only_mode_alone_is_warned_of(pair: Pair, name: str, mode: str) -> None:
    """R6: on both nodes, and both run."""
    node = pair.alpha if name == "alpha" else pair.beta
    pair.configure({"failover": {"failback": "manual"}})
    node.configure({"node": {"mode": mode}})
    pair.start()
    texts = {each.wait_alarm("mode-alone") for each in pair.nodes}
    for text in texts:
        assert f"{name} is {mode}" in text


@pytest.mark.parametrize(
    ("mode", "role"), [("primary-only", "primary"), ("backup-only", "waiting")]
)
@pytest.mark.parametrize("first", [0, 1])
def test_the_same_only_mode_twice_is_refused(pair: Pair, mode: str, role: str, first: int) -> None:
    """R6: the node that runs stays, with an alarm; the later one refuses to start."""
    pair.configure({"node": {"mode": mode}})
    runs, later = pair.nodes[first], pair.nodes[1 - first]
    runs.start()
    runs.wait_role(role)
    served = _service_of(runs) if role == "primary" else None
    for _ in range(2):
        later.start()
        assert later.wait() == REFUSED, later.log_tail()
        assert f"both nodes are {mode}" in later.log_text
        assert "Traceback" not in later.log_text
    assert f"both nodes are {mode}" in runs.wait_alarm("mode-clash")
    assert runs.role == role
    assert (_service_of(runs) if role == "primary" else None) == served
    later.configure({"node": {"mode": "backup-only" if mode == "primary-only" else "primary-only"}})
    later.start()
    primary, secondary = (runs, later) if role == "primary" else (later, runs)
    pair.wait_settled(primary, secondary)
    wait_until(lambda: "mode-clash" not in runs.alarms, "the clash is over")


def _service_of(node: Node) -> int:
    return int(node.wait_service()["pid"])
