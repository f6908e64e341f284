"""The three modes and their wrong combinations, played through in the simulator."""

from __future__ import annotations

import attrs
import pytest

from sbs.core.alarm import Alarm
from sbs.core.claim import Mode
from sbs.core.effects import Via
from sbs.core.events import StopAsked, SwitchoverAsked
from sbs.core.role import Settings, State
from sbs.testing.simpair import SimPair

MAIN_AND_BACKUP = (Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY)


def running(modes: tuple[Mode, Mode] = MAIN_AND_BACKUP, *, failback: bool = True) -> SimPair:
    """A pair of which the first is primary, and the second holds its data."""

    def tune(settings: Settings) -> Settings:
        return attrs.evolve(settings, failback=failback)

    pair = SimPair(11, modes=modes, tune=tune)
    pair.nodes[0].start()
    pair.run(0.5)
    pair.nodes[1].start()
    pair.run(2.0)
    assert states(pair) == (State.PRIMARY, State.SECONDARY)
    pair.nodes[0].write()
    pair.run(1.0)
    assert pair.nodes[1].disk.tree == pair.nodes[0].disk.tree > 0
    return pair


def states(pair: SimPair) -> tuple[State, State]:
    first, second = (node.model.state for node in pair.nodes)
    return first, second


def test_the_first_of_two_symmetric_nodes_is_primary() -> None:
    """R3, and R7: its end makes the other primary; it does not get the role back by itself."""
    pair = running((Mode.SYMMETRIC, Mode.SYMMETRIC))
    pair.nodes[0].crash()
    pair.run(1.0)
    assert states(pair) == (State.STOPPED, State.PRIMARY)
    assert pair.nodes[1].model.via is Via.FENCED
    pair.nodes[0].start()
    pair.run(60.0)
    assert states(pair) == (State.SECONDARY, State.PRIMARY)


def test_a_node_that_its_peer_does_not_know_waits_and_no_service_runs_twice() -> None:
    """B1, B62: it has a new identity, or its primary's pin was replaced beneath their session."""
    pair = running((Mode.SYMMETRIC, Mode.SYMMETRIC))
    pair.known[1] = False
    pair.nodes[1].crash()
    pair.nodes[1].start()
    pair.run(60.0)
    assert states(pair) == (State.PRIMARY, State.PROBING)
    pair.known[1] = True
    pair.run(5.0)
    assert states(pair) == (State.PRIMARY, State.SECONDARY)
    pair.known[1] = False
    pair.nodes[0]._hang_up()
    pair.run(60.0)
    assert states(pair) == (State.PRIMARY, State.SECONDARY)
    pair.nodes[0].crash()
    pair.run(5.0)
    assert states(pair) == (State.STOPPED, State.PRIMARY)


def test_primary_only_gets_the_role_back_with_what_was_written_meanwhile() -> None:
    """R4, R5, B5."""
    pair = running()
    pair.nodes[0].crash()
    pair.run(5.0)
    assert states(pair) == (State.STOPPED, State.PRIMARY)
    pair.nodes[1].write()
    pair.nodes[0].start()
    pair.run(5.0)
    assert states(pair) == (State.SECONDARY, State.PRIMARY)
    pair.nodes[1].write()
    newest = pair.nodes[1].disk.tree
    pair.run(15.0)
    assert states(pair) == (State.PRIMARY, State.SECONDARY)
    assert [node.disk.tree for node in pair.nodes] == [newest, newest]
    assert pair.nodes[0].model.via is Via.RELEASED


def test_with_manual_failback_the_administrator_gives_the_role_back() -> None:
    """R4: with ``failback = "manual"`` the main server waits."""
    pair = running(failback=False)
    pair.nodes[0].crash()
    pair.run(5.0)
    pair.nodes[0].start()
    pair.run(60.0)
    assert states(pair) == (State.SECONDARY, State.PRIMARY)
    pair.nodes[1].post(SwitchoverAsked(1))
    pair.run(2.0)
    assert states(pair) == (State.PRIMARY, State.SECONDARY)
    assert pair.nodes[1].answers == {1: ""}


def test_backup_only_waits_for_a_primary_and_says_so() -> None:
    """R5."""
    pair = SimPair(2, modes=MAIN_AND_BACKUP)
    pair.nodes[1].start()
    pair.run(60.0)
    assert states(pair) == (State.STOPPED, State.WAITING)
    assert Alarm.NO_PRIMARY in pair.nodes[1].alarms
    pair.nodes[0].start()
    pair.run(5.0)
    assert states(pair) == (State.PRIMARY, State.SECONDARY)
    assert pair.nodes[1].alarms == set()


def test_backup_only_resumes_a_takeover_that_was_not_given_back() -> None:
    """R5: after a crash; a stop gives it back."""
    pair = running()
    pair.nodes[0].crash()
    pair.run(5.0)
    pair.nodes[1].crash()
    pair.nodes[1].start()
    pair.run(5.0)
    assert states(pair) == (State.STOPPED, State.PRIMARY)
    assert pair.nodes[1].model.via is Via.RESUMED
    pair.nodes[1].post(StopAsked())
    pair.run(5.0)
    pair.nodes[1].start()
    pair.run(5.0)
    assert states(pair) == (State.STOPPED, State.WAITING)


def test_backup_only_takes_over_from_a_main_server_that_crashes_at_every_start() -> None:
    """R7: coming back for an instant is not coming back."""
    pair = running()
    pair.nodes[0].crash()
    for _ in range(3):
        pair.nodes[0].start()
        pair.run(0.004)
        pair.nodes[0].crash()
    pair.run(5.0)
    assert states(pair) == (State.STOPPED, State.PRIMARY)


@pytest.mark.parametrize("only", [Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY])
@pytest.mark.parametrize("first", [0, 1])
def test_one_only_node_is_warned_of_on_both(only: Mode, first: int) -> None:
    """R6: the two "only" modes belong together."""
    pair = SimPair(3, modes=(only, Mode.SYMMETRIC))
    pair.nodes[first].start()
    pair.run(3.0)
    pair.nodes[1 - first].start()
    pair.run(30.0)
    assert pair.settled
    assert all(Alarm.MODE_ALONE in node.alarms for node in pair.nodes)
    assert (pair.nodes[0].serving is not None) is (only is Mode.PRIMARY_ONLY)


@pytest.mark.parametrize("only", [Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY])
@pytest.mark.parametrize("first", [0, 1])
def test_the_later_of_two_equal_only_nodes_refuses_to_start(only: Mode, first: int) -> None:
    """R6: an error on the later node; a primary that runs keeps serving, with an alarm."""
    pair = SimPair(4, modes=(only, only))
    early, late = pair.nodes[first], pair.nodes[1 - first]
    early.start()
    pair.run(3.0)
    before = early.serving
    late.start()
    pair.run(3.0)
    assert not late.running
    assert f"both nodes are {only.value}" in late.refusal
    assert early.running
    assert early.serving == before
    assert (early.serving is not None) is (only is Mode.PRIMARY_ONLY)
    assert Alarm.MODE_CLASH in early.alarms
    pair.promises.settled()


@pytest.mark.parametrize("only", [Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY])
def test_of_two_equal_only_nodes_started_at_once_one_refuses(only: Mode) -> None:
    """R6, B1."""
    for seed in range(50):
        pair = SimPair(seed, modes=(only, only))
        for node in pair.nodes:
            pair.clock.at(pair.random.uniform(0.0, 0.05), node.start)
        pair.run(5.0)
        pair.promises.settled()


def test_stop_of_the_primary_swaps_the_roles_and_loses_no_write() -> None:
    """R8: also what was written in the last millisecond."""
    pair = running((Mode.SYMMETRIC, Mode.SYMMETRIC))
    pair.nodes[0].write()
    newest = pair.nodes[0].disk.tree
    pair.nodes[0].post(StopAsked())
    pair.run(2.0)
    assert states(pair) == (State.STOPPED, State.PRIMARY)
    assert pair.nodes[1].disk.tree == newest
    assert pair.nodes[1].model.via is Via.RELEASED


def test_a_partition_makes_two_primaries_that_find_each_other() -> None:
    """B4, availability: found on heal, resolved by the rule, and both nodes say so."""
    pair = running((Mode.SYMMETRIC, Mode.SYMMETRIC))
    for side in (0, 1):
        pair.network.cut(side)
    pair.run(10.0)
    assert states(pair) == (State.PRIMARY, State.PRIMARY)
    pair.network.heal()
    pair.run(10.0)
    pair.promises.settled()
    assert all(any(told.role.value == "primary" for told in node.told) for node in pair.nodes)


def test_a_frozen_primary_gives_way_when_it_wakes() -> None:
    """Must show 3: the newer epoch leads, and the old primary follows it."""
    pair = running((Mode.SYMMETRIC, Mode.SYMMETRIC))
    down_interval_s = pair.nodes[0].settings.down_interval_s
    pair.nodes[0].freeze()
    pair.run(down_interval_s + 0.5)
    assert pair.nodes[1].model.state is State.PRIMARY
    assert pair.nodes[1].model.via is Via.SILENCE
    pair.nodes[0].thaw()
    pair.run(5.0)
    assert states(pair) == (State.SECONDARY, State.PRIMARY)
