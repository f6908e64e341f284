"""Policies, votes, pause, fence and forced takeovers, on real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import Etcd, wait_until
from tests.system.nodes import Node, Pair

PROTECT = {"failover": {"partition_policy": "protect"}}


@pytest.fixture(params=["etcd", "folder"])
def witness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A witness, its section of the configuration, and how to take it away and give it back."""
    (tmp_path / "witness").mkdir()
    if request.param == "etcd":
        with Etcd(tmp_path / "witness") as server:
            settings = {"adapter": "etcd", "endpoints": [server.endpoint]}
            yield settings, server.kill, server.start
    else:
        share, away = tmp_path / "witness" / "share", tmp_path / "witness" / "away"
        share.mkdir()
        settings = {"adapter": "folder", "path": str(share)}
        yield settings, lambda: share.rename(away), lambda: away.rename(share)


def quorum(settings: dict[str, Any]) -> dict[str, Any]:
    return {"witness": {**settings, "lease_s": 1.0}, "failover": {"stop_bound_s": 0.5}}


def votes(node: Node) -> Any:
    return node.status().get("votes")


def start_together(pair: Pair) -> tuple[Node, Node]:
    """Start both at once; return the primary and the secondary that they make themselves."""
    for node in pair.nodes:
        node.start()
    wait_until(lambda: {node.role for node in pair.nodes} == {"primary", "secondary"}, "a pair")
    primary, secondary = sorted(pair.nodes, key=lambda node: node.role)
    pair.wait_settled(primary, secondary)
    return primary, secondary


def test_the_witness_alone_stops_nothing(pair: Pair, witness: Any) -> None:
    """B3, must show 3: the witness is killed, then the primary: the secondary says why it waits."""
    settings, take_away, give_back = witness
    pair.configure(quorum(settings))
    primary, secondary = pair.start()
    wait_until(lambda: votes(primary) == {"peer": True, "witness": True}, "both votes")
    epoch = primary.wait_service()["epoch"]
    take_away()
    assert "no vote from the witness" in primary.wait_alarm("witness-lost")
    wait_until(lambda: votes(primary) == {"peer": True, "witness": False}, "the peer's vote")
    primary.stay("primary", 3.0)
    assert primary.wait_service()["epoch"] == epoch
    primary.kill()
    text = secondary.wait_alarm("no-vote")
    assert "nor does the witness" in text
    assert "sbs takeover --force" in text
    secondary.stay("waiting", 3.0)
    assert not secondary.serves
    give_back()
    secondary.wait_role("primary")
    assert secondary.wait_service()["epoch"] > epoch
    assert "no-vote" not in secondary.alarms


def test_a_primary_without_any_vote_stops_its_services(pair: Pair, witness: Any) -> None:
    """B3: and starts them again when a vote is back."""
    settings, take_away, give_back = witness
    pair.configure(quorum(settings))
    primary, secondary = pair.start()
    epoch = primary.wait_service()["epoch"]
    take_away()
    secondary.signal(signal.SIGSTOP)
    assert "neither the other node nor the witness" in primary.wait_alarm("no-vote")
    wait_until(lambda: not primary.serves, "the services of the primary have stopped")
    give_back()
    primary.wait_role("primary")
    assert primary.wait_service()["epoch"] > epoch
    secondary.signal(signal.SIGCONT)
    pair.wait_settled(primary, secondary)


def test_services_of_a_frozen_primary_are_gone_before_others_start(
    pair: Pair, witness: Any
) -> None:
    """B3, must show 4: SIGSTOP of SBS alone; the fencer acts for it."""
    settings, _, _ = witness
    pair.configure(quorum(settings))
    primary, secondary = pair.start()
    primary.wait_service()
    primary.signal(signal.SIGSTOP)
    overlap = []

    def taken_over() -> bool:
        if primary.serves and secondary.serves:
            overlap.append(True)
        return secondary.serves

    wait_until(taken_over, "the secondary serves")
    assert not overlap
    assert not primary.serves
    primary.signal(signal.SIGCONT)
    pair.wait_settled(secondary, primary)
    assert not primary.serves


def test_killed_sbs_is_replaced_at_once_with_the_witness(pair: Pair, witness: Any) -> None:
    """B3, B31: the fencer's last word spares the wait for votes to run out."""
    settings, _, _ = witness
    pair.configure(quorum(settings))
    pair.configure({"witness": {**settings, "lease_s": 30.0}})
    primary, secondary = start_together(pair)
    primary.wait_service()
    primary.kill()
    secondary.wait_role("primary", timeout_s=20.0)  # although votes hold for 31
    secondary.wait_service()
    assert "its fencer says that its services are, too" in secondary.log_text


def test_the_roles_are_exchanged_without_the_witness(pair: Pair, witness: Any) -> None:
    """B3, B6: the vote of the node that hands over is enough."""
    settings, take_away, _ = witness
    pair.configure(quorum(settings))
    primary, secondary = pair.start()
    take_away()
    primary.wait_alarm("witness-lost")
    done = primary.sbs("switchover")
    assert done.returncode == 0, done.stderr
    pair.wait_settled(secondary, primary)
    secondary.stay("primary", 2.0)


def test_protect_waits_for_a_person(pair: Pair) -> None:
    """B3: silence is no proof."""
    pair.configure(PROTECT)
    primary, secondary = start_together(pair)
    epoch = primary.wait_service()["epoch"]
    for pid in (primary.fencer_pid, primary.pid):
        os.kill(pid, signal.SIGSTOP)
    assert "sbs takeover --force" in secondary.wait_alarm("primary-lost")
    secondary.stay("waiting", 2.0)
    refused = secondary.sbs("takeover")
    assert refused.returncode == 4
    assert "--force" in refused.stderr
    done = secondary.sbs("takeover", "--force")
    assert (done.returncode, done.stdout) == (0, "this node is primary\n")
    assert secondary.wait_service()["epoch"] > epoch
    for pid in (primary.pid, primary.fencer_pid):
        os.kill(pid, signal.SIGCONT)
    pair.wait_settled(secondary, primary)


def test_protect_believes_the_fencer(pair: Pair) -> None:
    """B31: kill -9 of SBS alone is a fast takeover under every policy."""
    pair.configure(PROTECT)
    primary, secondary = start_together(pair)
    primary.kill()
    secondary.wait_role("primary")
    secondary.wait_service()


@pytest.mark.parametrize("works", [True, False])
def test_a_fence_hook_has_to_succeed_first(pair: Pair, works: bool, tmp_path: Path) -> None:
    """B7: with protect, too: a peer that is off cannot serve."""
    called = tmp_path / "called"
    script = f'echo "$SBS_PEER $SBS_PEER_ADDRESS" > {called}; test -e {tmp_path}/off'
    if works:
        (tmp_path / "off").touch()
    pair.configure({"failover": {"partition_policy": "protect", "fence": ["sh", "-c", script]}})
    primary, secondary = start_together(pair)
    fencer_pid = primary.fencer_pid
    for pid in (fencer_pid, primary.pid):
        os.kill(pid, signal.SIGSTOP)
    if not works:
        assert "ended with code 1" in secondary.wait_alarm("fence-failed")
        secondary.stay("waiting", 1.0)
        (tmp_path / "off").touch()
    secondary.wait_role("primary")
    assert called.read_text() == f"{primary.name} {primary.address}\n"
    primary.kill()
    os.kill(fencer_pid, signal.SIGCONT)  # it ends, and the services with it


def test_while_paused_nobody_takes_over(pair: Pair) -> None:
    """B6: also over restarts; resume makes up for it."""
    primary, secondary = pair.start()
    assert secondary.sbs("pause").returncode == 0
    wait_until(lambda: primary.status()["paused"], "both nodes are paused")
    assert "no automatic takeover" in primary.sbs("status").stdout
    primary.kill()
    assert "paused" in secondary.wait_alarm("primary-lost")
    secondary.stay("waiting", 2.0)
    secondary.kill()
    secondary.start()
    wait_until(lambda: secondary.status().get("paused"), "the pause outlives a restart")
    secondary.stay("waiting", 2.5)
    primary.start()
    primary.wait_role("primary")
    pair.wait_settled(primary, secondary)
    assert primary.sbs("resume").returncode == 0
    wait_until(lambda: not secondary.status()["paused"], "both nodes go on")
    primary.kill()
    secondary.wait_role("primary")


def test_a_paused_primary_that_is_stopped_stays_primary(pair: Pair) -> None:
    """B6: maintenance of the primary, without an exchange of the roles."""
    primary, secondary = pair.start()
    assert primary.sbs("pause").returncode == 0
    primary.stop_at_once()
    secondary.wait_alarm("primary-lost")
    secondary.stay("waiting", 1.0)
    primary.start()
    pair.wait_settled(primary, secondary)


def test_a_drill_measures_the_outage(pair: Pair) -> None:
    """B6: looked at first, then done; the roles can be exchanged back."""
    primary, secondary = pair.start()
    looked = primary.sbs("switchover", "--dry-run")
    assert looked.returncode == 0
    assert looked.stdout.startswith(f"{secondary.name} could take over:\n")
    assert primary.role == "primary"
    done = primary.sbs("drill")
    assert done.returncode == 0, done.stderr
    assert f"{secondary.name} has taken over; no service ran for 0." in done.stdout
    pair.wait_settled(secondary, primary)
    assert secondary.sbs("drill").returncode == 0
    pair.wait_settled(primary, secondary)


def test_alone_with_old_data_it_waits_if_so_configured(pair: Pair) -> None:
    """start_alone: the other node has led since."""
    pair.configure({"failover": {"start_alone": "only-if-last-primary"}})
    pair.alpha.start()
    pair.alpha.wait_role("waiting")
    pair.alpha.stay("waiting", 1.0)  # nobody has ever led
    pair.alpha.stop_at_once()
    primary, secondary = start_together(pair)
    secondary.stop_at_once()
    primary.kill()
    secondary.start()
    assert "only-if-last-primary" in secondary.wait_alarm("no-primary")
    secondary.kill()
    primary.start()
    primary.wait_role("primary")


def test_alone_with_old_data_it_leads_and_says_so(pair: Pair) -> None:
    """The original's behaviour, with an alarm that says which data, from when."""
    former, latter = pair.start()
    former.stop_at_once()
    latter.wait_role("primary")
    latter.wait_service()
    latter.kill()
    former.start()
    former.wait_role("primary")
    text = former.wait_alarm("old-data")
    assert "what it wrote is not here" in text
    assert "UTC" in text
    latter.start()
    wait_until(lambda: "old-data" not in former.alarms, "the nodes have met")
