"""Rows of the table in which a node, or its program, is lost."""

from __future__ import annotations

import time
from typing import assert_never

from sbs.core.claim import Policy
from sbs.core.effects import Via
from tests.system.event_table import row
from tests.system.scene import DOWN_S, HOLD_S, LEASE_S, Scene


@row(
    "SBS on the primary is killed (`kill -9`), its host lives",
    availability="its fencer kills the services and says so; takeover at once",
    protect="the same",
    quorum="the same, as soon as the witness has agreed",
)
def killed(scene: Scene) -> None:
    scene.never_on_silence()
    scene.start()
    scene.primary.kill()
    scene.taken_over(Via.FENCED)
    assert not scene.pair.serves(scene.secondary)
    assert scene.pair.overlaps() == []


@row(
    "the primary's host dies, or its link",
    availability="takeover after `down_interval_s`",
    protect="the secondary waits, alarm `primary-lost`",
    quorum="takeover after *hold* since the last vote it gave, with the witness's",
    variants=("host", "link"),
)
def host_or_link(scene: Scene) -> None:
    if scene.quorum:
        scene.pair.configure({"witness": {"lease_s": 2 * LEASE_S}})
    scene.start()
    lost_at = time.monotonic()
    if scene.variant == "host":
        scene.pair.die(scene.primary)
    else:
        scene.lab.unplug(scene.pair.host(scene.primary))
    match scene.policy:
        case Policy.AVAILABILITY:
            scene.taken_over(Via.SILENCE)
            scene.waited(lost_at, DOWN_S / 2)  # the last sign of life came a little earlier
        case Policy.PROTECT:
            scene.stays_out("primary-lost")
        case Policy.QUORUM:
            scene.taken_over(Via.SILENCE)
            scene.waited(lost_at, HOLD_S)  # the last vote was given a little earlier
        case _:
            assert_never(scene.policy)
    scene.lab.repair()
    if scene.variant == "link":
        scene.settle()


@row(
    "SBS on the primary is frozen (SIGSTOP), its host lives",
    availability="two primaries until it wakes",
    protect="the secondary waits; it still serves",
    quorum="its fencer stops the services when the votes run out; takeover after *hold*",
)
def frozen(scene: Scene) -> None:
    scene.start()
    frozen = scene.primary
    scene.freeze(frozen)
    match scene.policy:
        case Policy.AVAILABILITY:
            scene.both_serve()
        case Policy.PROTECT:
            with scene.serving_on():
                scene.stays_out("primary-lost")
        case Policy.QUORUM:
            scene.taken_over(Via.SILENCE)
            assert not scene.pair.serves(frozen)
        case _:
            assert_never(scene.policy)
    scene.thaw(frozen)
    scene.settle()


@row(
    "either node is frozen for less than `down_interval_s`",
    availability="nothing",
    protect="nothing",
    quorum="nothing, if it is also less than ¾ T",
)
def frozen_for_a_moment(scene: Scene) -> None:
    scene.pair.configure({"failover": {"down_interval_s": 4 * DOWN_S}})
    if scene.quorum:
        scene.pair.configure({"witness": {"lease_s": 4 * LEASE_S}})
    scene.start()
    with scene.nothing_happening():
        for node in scene.pair.nodes:
            scene.freeze(node)
            time.sleep(DOWN_S)
            scene.thaw(node)
            scene.follows()


@row(
    "the secondary is lost",
    availability="the primary serves on, alarm `no-secondary`",
    protect="the same",
    quorum="the same, with the witness's vote",
)
def secondary_lost(scene: Scene) -> None:
    scene.start()
    with scene.serving_on():
        scene.pair.die(scene.secondary)
        scene.primary.wait_alarm("no-secondary")
        if scene.quorum:
            scene.has_votes(peer=False, witness=True)
        scene.lasts(lambda: scene.primary.role == "primary", "the primary leads")


@row(
    "the witness is lost",
    availability="(none)",
    protect="(none)",
    quorum="the pair serves on, alarm `witness-lost`",
)
def witness_lost(scene: Scene) -> None:
    scene.start()
    with scene.nothing_happening():
        scene.lose_witness()
        scene.primary.wait_alarm("witness-lost")
        scene.has_votes(peer=True, witness=False)
        scene.lasts(lambda: scene.primary.role == "primary", "the primary leads")


@row(
    "the witness is lost, then the primary",
    availability="(none)",
    protect="(none)",
    quorum="the secondary stays out, alarm `no-vote`",
)
def witness_lost_then_primary(scene: Scene) -> None:
    scene.start()
    scene.lose_witness()
    scene.primary.wait_alarm("witness-lost")
    scene.has_votes(peer=True, witness=False)
    scene.pair.die(scene.primary)
    scene.stays_out("no-vote")


@row(
    "the witness is lost, then the secondary",
    availability="(none)",
    protect="(none)",
    quorum="the primary stops its services, alarm `no-vote`; they start when either is back",
    variants=("witness-back", "secondary-back"),
)
def witness_lost_then_secondary(scene: Scene) -> None:
    scene.start()
    scene.lose_witness()
    scene.primary.wait_alarm("witness-lost")
    scene.has_votes(peer=True, witness=False)
    scene.freeze(scene.secondary)
    scene.primary.wait_alarm("no-vote")
    scene.stopped(scene.primary)
    scene.lasts(lambda: not scene.pair.serves(scene.primary), "it does not serve")
    if scene.variant == "witness-back":
        scene.lab.repair()
        scene.primary.wait_role("primary")
        scene.serves_anew()
    scene.thaw(scene.secondary)
    scene.settle()
