"""How each alarm of the role machine comes, in the simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import attrs

from sbs.core.alarm import Alarm
from sbs.core.claim import Mode, Policy
from sbs.core.events import StopAsked, SwitchoverAsked
from sbs.core.role import Settings, State
from sbs.testing.simnode import Speeds
from sbs.testing.simpair import SimPair

STEP_S: Final = 0.002
"""From one look at a pair to the next: some alarms are over when the nodes have met."""

Tune: TypeAlias = Callable[[Settings], Settings]


def kept(settings: Settings) -> Settings:
    return settings


def both_started(
    tune: Tune = kept, modes: tuple[Mode, Mode] = (Mode.SYMMETRIC, Mode.SYMMETRIC)
) -> SimPair:
    pair = SimPair(11, modes=modes, tune=tune)
    pair.nodes[0].start()
    pair.run(3.0)
    pair.nodes[1].start()
    return pair


def settled(
    tune: Tune = kept, modes: tuple[Mode, Mode] = (Mode.SYMMETRIC, Mode.SYMMETRIC)
) -> SimPair:
    """The first one leads, and the second holds its data."""
    pair = both_started(tune, modes)
    pair.run(8.0)
    pair.nodes[0].write()
    pair.run(2.0)
    return pair


def alone(mode: Mode = Mode.SYMMETRIC) -> SimPair:
    pair = SimPair(11, modes=(mode, Mode.SYMMETRIC))
    pair.nodes[0].start()
    return pair


def parted(pair: SimPair) -> SimPair:
    pair.network.cut(0)
    pair.network.cut(1)
    return pair


def both_led() -> SimPair:
    pair = parted(settled())
    pair.run(10.0)
    assert len(pair.serving) == 2
    pair.network.heal()
    return pair


def lost_before_it_was_copied() -> SimPair:
    pair = SimPair(11, speeds=Speeds(update_s=(1.0, 2.0)))
    pair.nodes[0].start()
    pair.run(3.0)
    pair.nodes[0].write()
    pair.nodes[1].start()
    while pair.nodes[1].model.state is not State.SECONDARY:
        pair.run(STEP_S)
    assert not pair.nodes[1].model.in_step
    pair.nodes[0].crash()
    return pair


def released_to_nobody() -> SimPair:
    pair = settled()
    pair.nodes[0].post(SwitchoverAsked(1))
    while pair.nodes[0].model.state is not State.RELEASING:
        pair.run(STEP_S)
    return parted(pair)


def without_witness() -> SimPair:
    pair = settled(quorum)
    pair.witness.up = False
    return pair


def without_majority() -> SimPair:
    pair = settled(quorum)
    pair.witness.reached[0] = False
    return parted(pair)


def not_fenced() -> SimPair:
    return parted(settled(lambda settings: attrs.evolve(settings, fence=True)))


def replaced_again_and_again() -> SimPair:
    pair = settled(modes=(Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY))
    for _ in range(3):
        pair.run(60.0)
        pair.nodes[0].crash()
        pair.run(10.0)
        pair.nodes[0].start()
    return pair


def started_with_less() -> SimPair:
    pair = settled()
    pair.nodes[0].post(StopAsked())
    pair.run(5.0)
    pair.nodes[1].crash()
    pair.run(5.0)
    pair.nodes[0].start()
    return pair


def quorum(settings: Settings) -> Settings:
    return attrs.evolve(settings, policy=Policy.QUORUM)


def protect(settings: Settings) -> Settings:
    return attrs.evolve(settings, policy=Policy.PROTECT)


def one_identity(settings: Settings) -> Settings:
    return attrs.evolve(settings, node_id="c" * 32)


def two_policies(settings: Settings) -> Settings:
    return protect(settings) if settings.name == "b" else settings


ROLES: Final[Mapping[Alarm, Callable[[], SimPair]]] = {
    Alarm.MODE_ALONE: lambda: both_started(modes=(Mode.PRIMARY_ONLY, Mode.SYMMETRIC)),
    Alarm.MODE_CLASH: lambda: both_started(modes=(Mode.PRIMARY_ONLY, Mode.PRIMARY_ONLY)),
    Alarm.SAME_IDENTITY: lambda: both_started(one_identity),
    Alarm.NO_SECONDARY: alone,
    Alarm.NO_PRIMARY: lambda: alone(Mode.BACKUP_ONLY),
    Alarm.NO_GENERATION: lost_before_it_was_copied,
    Alarm.DUAL_PRIMARY: both_led,
    Alarm.HANDOVER_FAILED: released_to_nobody,
    Alarm.POLICY_CLASH: lambda: both_started(two_policies),
    Alarm.PRIMARY_LOST: lambda: parted(settled(protect)),
    Alarm.NO_VOTE: without_majority,
    Alarm.WITNESS_LOST: without_witness,
    Alarm.FENCE_FAILED: not_fenced,
    Alarm.FLAPPING: replaced_again_and_again,
    Alarm.OLD_DATA: started_with_less,
}
