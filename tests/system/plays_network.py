"""Rows of the table in which both nodes live, and do not hear each other."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from sbs.core.claim import Policy
from sbs.core.effects import Via
from tests.system.event_table import row
from tests.system.nodes import Node
from tests.system.scene import NEVER_S, Scene


def two_primaries_until_healed(scene: Scene) -> None:
    """``availability``: both serve; healed they find each other, and one gives way."""
    scene.both_serve()
    scene.lab.repair()
    scene.settle()
    for node in scene.pair.nodes:
        assert "alarm dual-primary: " in node.log_text, node.log_tail()


def primary_stays(scene: Scene, alarm: str) -> None:
    """The primary serves through it all; the secondary stays out, and says why."""
    with scene.nothing_happening():
        scene.stays_out(alarm)
        scene.lab.repair()


def partition(scene: Scene) -> None:
    """What a partition between the nodes alone comes to."""
    match scene.policy:
        case Policy.AVAILABILITY:
            two_primaries_until_healed(scene)
        case Policy.PROTECT:
            primary_stays(scene, "primary-lost")
        case Policy.QUORUM:
            primary_stays(scene, "no-vote")
            assert "the witness's vote is with" in scene.secondary.log_text
        case _:
            assert_never(scene.policy)


@row(
    "partition between the nodes, both see the witness",
    availability="two primaries; they meet soon after its end, one gives way, alarm `dual-primary`",
    protect="the primary stays",
    quorum="the primary stays",
)
def parted(scene: Scene) -> None:
    scene.start()
    scene.part()
    partition(scene)


@row(
    "the primary is cut off from all",
    availability="as above",
    protect="the primary stays",
    quorum="it stops its services when its votes run out, alarm `no-vote`; takeover after *hold*",
)
def cut_off(scene: Scene) -> None:
    scene.start()
    cut_off = scene.primary
    scene.part()
    scene.lab.cut(scene.pair.host(cut_off), "w")
    if not scene.quorum:
        partition(scene)
        return
    cut_off.wait_alarm("no-vote")
    scene.stopped(cut_off)
    scene.taken_over(Via.SILENCE)
    scene.lab.repair()
    scene.follows()


@row(
    "one direction of the link is dead",
    availability="as a partition",
    protect="as a partition",
    quorum="as a partition",
    variants=("to-primary", "to-secondary"),
)
def one_way(scene: Scene) -> None:
    scene.start()
    deaf = scene.primary if scene.variant == "to-primary" else scene.secondary
    scene.lab.drop(scene.pair.host(scene.pair.other(deaf)), scene.pair.host(deaf))
    partition(scene)


@row(
    "the connection is reset, or refused, while the primary serves",
    availability="reset: follows again. Refused: proof, if its services die with it",
    protect="follows again when it can; else waits",
    quorum="follows again when it can; else as silence",
    variants=("reset", "refused"),
)
def reset_or_refused(scene: Scene) -> None:
    if scene.policy is Policy.AVAILABILITY:
        scene.pair.configure({"failover": {"down_interval_s": NEVER_S}})  # not by silence
    scene.start()
    host, port = scene.pair.host(scene.primary), scene.pair.port
    if scene.variant == "reset":
        secondary, former = scene.secondary, callers(scene.secondary, port)
        assert len(former) == 1
        with scene.nothing_happening():
            scene.lab.refuse(host, port, *former)
            scene.pair.wait(lambda: callers(secondary, port) - former, "it has called again")
        return
    for each in ("a", "b"):
        scene.lab.refuse(each, port)
    if scene.policy is Policy.AVAILABILITY:
        scene.both_serve()
        assert f": {Via.REFUSED.value}" in scene.secondary.log_text
        scene.lab.repair()
        scene.settle()
    else:
        partition(scene)


def callers(node: Node, port: int) -> set[int]:
    """The ports from which a node is connected to the other."""
    rows = Path(f"/proc/{node.pid}/net/tcp").read_text().splitlines()[1:]
    connected = "01"
    return {
        int(local.rpartition(":")[2], 16)
        for local, remote, state in (line.split()[1:4] for line in rows)
        if state == connected and int(remote.rpartition(":")[2], 16) == port
    }
