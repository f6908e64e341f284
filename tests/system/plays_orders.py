"""Rows of the table about starts, orders, and clocks."""

from __future__ import annotations

import signal
import sys
import time
from datetime import datetime
from typing import assert_never

from sbs.core.claim import Policy
from sbs.core.effects import Via
from tests.system.event_table import row
from tests.system.nodes import Node
from tests.system.scene import DOWN_S, HOLD_S, NEVER_S, Scene

SETTABLE_CLOCK = (sys.executable, "-m", "tests.system.settable_clock")


@row(
    "a start without the other node, host refuses",
    availability="primary at once",
    protect="waits",
    quorum="primary after *hold*, with the witness's vote",
)
def start_refused(scene: Scene) -> None:
    scene.pair.configure({"failover": {"probe_timeout_s": NEVER_S}})
    start_alone(scene, after_s=0.0)


@row(
    "a start without the other node, no answer",
    availability="primary after `probe_timeout_s`",
    protect="waits",
    quorum="likewise",
)
def start_unanswered(scene: Scene) -> None:
    scene.part()
    start_alone(scene, after_s=DOWN_S)


def start_alone(scene: Scene, *, after_s: float) -> None:
    """One node starts; under ``availability`` it leads after a time, at the earliest."""
    node = scene.pair.beta
    started_at = time.monotonic()
    node.start()
    match scene.policy:
        case Policy.AVAILABILITY:
            least_s = after_s
        case Policy.PROTECT:
            node.wait_role("waiting")
            assert "sbs takeover --force" in node.wait_alarm("primary-lost")
            scene.lasts(lambda: node.role == "waiting" and not scene.pair.serves(node), "it waits")
            assert scene.pair.runs() == []
            return
        case Policy.QUORUM:
            least_s = HOLD_S
        case _:
            assert_never(scene.policy)
    node.wait_role("primary")
    scene.pair.wait(lambda: scene.pair.serves(node) and scene.pair.runs(), "it serves")
    assert scene.pair.runs()[0].first_ns / 1e9 - started_at >= least_s
    if scene.quorum:
        assert node.status()["votes"] == {"peer": False, "witness": True}


@row(
    "both start together",
    availability="one primary, by the rule below",
    protect="the same",
    quorum="the same, without the witness if need be",
    variants=("", "without-witness"),
)
def start_together(scene: Scene) -> None:
    scene.pair.configure({"failover": {"probe_timeout_s": NEVER_S}})
    scene.pair.beta.configure({"node": {"priority": 200}})
    scene.part()  # so that neither has decided when they meet
    if scene.variant:
        scene.lose_witness()
    for node in scene.pair.nodes:
        node.start()
        node.wait_role("probing")
    scene.lab.heal("a", "b")
    scene.settle()
    assert scene.primary is scene.pair.beta
    scene.pair.wait(scene.pair.runs, "the service has begun")
    assert "role primary" not in scene.pair.alpha.log_text
    assert len(scene.pair.runs()) == 1


@row(
    "`sbs stop` on the primary, which is [refused](cli.md#sbs-stop) while the last update could "
    "not reach the secondary",
    availability="takeover at once",
    protect="takeover at once",
    quorum="takeover at once, with the witness's vote; without a witness the services stay down",
    variants=("", "without-witness"),
)
def stop(scene: Scene) -> None:
    if scene.variant:
        scene.start()
        scene.lose_witness()
        scene.primary.stop_at_once()
        scene.stays_out("no-vote")
        assert not scene.pair.serves(scene.primary)
        return
    scene.never_on_silence()
    scene.start()
    (scene.primary.folder / "last").write_bytes(b"word")
    scene.primary.stop_at_once()
    scene.taken_over(Via.RELEASED)
    assert (scene.primary.folder / "last").read_bytes() == b"word"
    assert scene.pair.overlaps() == []


@row(
    "`sbs switchover`",
    availability="roles exchanged",
    protect="the same",
    quorum="the same, also without the witness",
    variants=("", "without-witness"),
)
def switchover(scene: Scene) -> None:
    scene.start()
    if scene.variant:
        scene.lose_witness()
        scene.primary.wait_alarm("witness-lost")
    scene.primary.ask("switchover", dry_run=False)
    scene.taken_over(Via.RELEASED)
    scene.follows()
    assert scene.pair.overlaps() == []


@row(
    "paused, then the primary is lost",
    availability="the secondary waits, alarm `primary-lost`",
    protect="the same",
    quorum="the same",
)
def paused(scene: Scene) -> None:
    scene.start()
    scene.secondary.ask("pause")
    scene.pair.wait(lambda: scene.primary.status()["paused"], "both nodes are paused")
    scene.primary.kill()
    scene.stays_out("primary-lost")
    assert "takeovers are paused" in scene.secondary.alarms["primary-lost"]


@row(
    "a clock is set forward or back",
    availability="nothing: roles are decided by a clock that nobody sets",
    protect="nothing",
    quorum="nothing",
)
def clock_set(scene: Scene) -> None:
    """What is set is what Python reads: see :mod:`tests.system.settable_clock`."""
    for node in scene.pair.nodes:
        node.program = SETTABLE_CLOCK
    scene.start()
    with scene.nothing_happening():
        for number, ahead_s in ((signal.SIGUSR1, 3600), (signal.SIGUSR2, -3600)):
            for node in scene.pair.nodes:
                node.signal(number)
                set_at = time_of(node, f"the clock was set by {number.name}")
                assert abs(set_at - time.time() - ahead_s) < 60
            (scene.primary.folder / number.name).write_bytes(b"replicated")
            scene.secondary.wait_file(number.name, b"replicated")
            scene.lasts(lambda: scene.primary.role == "primary", "the primary leads")


def time_of(node: Node, text: str) -> float:
    """When something was logged, by the clock that the node believes."""
    node.wait_logged(text)
    line = next(line for line in node.log_text.splitlines() if text in line)
    return datetime.fromisoformat(line.split()[0]).timestamp()
