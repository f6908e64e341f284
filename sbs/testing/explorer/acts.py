"""What each move does to an explored scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import attrs

from sbs.core import events as ev
from sbs.testing.explorer.hands import crash, die, forget_question, hang_up, post, propose
from sbs.testing.explorer.instants import advance, next_instant, stall_s
from sbs.testing.explorer.mail import deliver
from sbs.testing.explorer.moves import Move
from sbs.testing.explorer.promises import check_begin
from sbs.testing.explorer.scene import Node, Scene
from sbs.testing.explorer.words import Committed, End


def apply(scene: Scene, move: Move) -> bool:
    """Make a move; false if it is none: a fuse that did not burn down.

    Raises:
        PromiseError: it breaks a promise.
        OutOfBoundsError: it leads where the explorer does not follow.
    """
    scene.fuse = move.fuse or None
    MOVES[move.kind](scene, scene.nodes[move.side], move.number)
    return not move.fuse or scene.fuse is None


# What a node does by itself.


def _journal(scene: Scene, node: Node, _number: int) -> None:
    if node.journaling is None:
        raise AssertionError("nothing is journaled")
    history, number = node.journaling
    node.journaling, node.journal = None, history
    post(scene, node, ev.GenerationHeld(history.value, ("app",)))
    scene.say(node, number, Committed(history.value))


def _save(scene: Scene, node: Node, _number: int) -> None:
    (serial, durable), *rest = node.saves
    node.saves = tuple(rest)
    if durable.value.epoch < node.disk.value.epoch:
        raise AssertionError(f"I2: the epoch of {node.name} went back on disk")
    node.disk = durable
    tip = None if node.journal is None else node.journal.value.tip
    if tip is not None and durable.value.history.contains(tip):
        node.journal = None
    post(scene, node, ev.Saved(serial))


def _start(scene: Scene, node: Node, _number: int) -> None:
    number, node.starting = node.starting, None
    if number is not None and node.guard > 0:  # else the fencer starts nothing
        check_begin(scene, node, number)
        scene.used |= {(number, node.side)}
        node.serving = number
        scene.note(f"{node.name}: services run, SBS_EPOCH {number}")
    post(scene, node, ev.ServicesStarted(("app",)))


def _stop_services(scene: Scene, node: Node, _number: int) -> None:
    node.serving = node.stopping = node.kill = None
    scene.note(f"{node.name}: services are stopped")
    post(scene, node, ev.ServicesStopped())


def _update(scene: Scene, node: Node, _number: int) -> None:
    if node.updating is None:
        raise AssertionError("there is no follower")
    number, phase = node.updating
    if phase == "failed":
        node.updating = None
        post(scene, node, ev.FinalUpdateEnded(False))
        return
    node.updating = (number, "sent" if phase == "due" else "last sent")
    propose(scene, node, number)


def _give_up_dialling(scene: Scene, node: Node, _number: int) -> None:
    if node.dial is not None:
        number, _ = node.dial
        node.dial = None
        scene.forget_unheard(node)
        hang_up(scene, node, number)
        post(scene, node, ev.DialFailed(refused=False))


def _give_up_asking(scene: Scene, node: Node, _number: int) -> None:
    forget_question(node)
    post(scene, node, ev.WitnessAnswered(serial=0, granted=False, error="no answer"))


def _fence(scene: Scene, node: Node, _number: int) -> None:
    peer = scene.peer(node)
    node.fencing = False
    if peer.up:
        die(scene, peer)
    post(scene, node, ev.FenceEnded())


def _fence_fails(scene: Scene, node: Node, _number: int) -> None:
    node.fencing = False
    post(scene, node, ev.FenceEnded("no answer"))


# The witness.


def _acquire(scene: Scene, holder: str, replaces: str) -> bool:
    if scene.holder not in {"", holder, replaces}:
        return False
    scene.holder, scene.lent_s = holder, scene.hold_s
    scene.note(f"witness: lends its vote to {holder}")
    return True


def _vote(scene: Scene, node: Node, _number: int) -> None:
    question, node.question = node.question, None
    if question is None:
        raise AssertionError("nobody asked the witness")
    granted = _acquire(scene, question.holder, question.replaces)
    answer = ev.WitnessAnswered(serial=0, granted=granted)
    post(scene, node, answer)


def _lose_vote(scene: Scene, node: Node, _number: int) -> None:
    if node.question is not None:
        _acquire(scene, node.question.holder, node.question.replaces)
        node.question = node.question._replace(holder="")


def _late_vote(scene: Scene, node: Node, _number: int) -> None:
    if node.late is not None:
        _acquire(scene, node.late.holder, node.late.replaces)
    node.late = None


def _leave(scene: Scene, node: Node, _number: int) -> None:
    name, *rest = node.leaves
    node.leaves = tuple(rest)
    if scene.holder == name:
        scene.holder, scene.lent_s = "", 0.0


# Faults and repairs.


def _start_node(scene: Scene, node: Node, _number: int) -> None:
    if node.dark:  # the peer's kernel learns that nobody remembers its connections
        for connection in scene.links(scene.peer(node)):
            if not connection.open[node.side]:
                connection.queues[node.side] = (scene.machine.keep(End()),)
    node.up, node.dark = True, False
    node.secret, node.linger = 0, 0.0
    node.life = scene.fresh_life(node)
    durable = node.disk.value
    tip = None if node.journal is None else node.journal.value.tip
    if node.journal is not None and tip is not None:
        if not durable.history.contains(tip):
            durable = attrs.evolve(durable, history=node.journal.value)
            node.disk = scene.machine.keep(durable)
        node.journal = None
    node.model = scene.fresh_model(node.side, durable)
    post(scene, node, ev.Started())


def _thaw(scene: Scene, node: Node, _number: int) -> None:
    slept_s, node.asleep = node.asleep, None
    if slept_s is not None and slept_s >= stall_s(node):
        post(scene, node, ev.Heard())
    due = scene.machine.due(node.model)
    if due is not None and due <= 0:
        post(scene, node, ev.TimePassed())


def _reset(scene: Scene, _node: Node, number: int) -> None:
    """What is on the way is lost with the connection."""
    connection = scene.connections[number]
    for side in (0, 1):
        end = scene.machine.keep(End())
        connection.queues[1 - side] = (end,) if connection.open[side] else ()


def _pass_time(scene: Scene, _node: Node, _number: int) -> None:
    seconds = next_instant(scene)
    if seconds is not None:
        scene.note(f"{seconds:g} s later")
        advance(scene, seconds)


def _setting(field: str, value: object) -> Action:
    """A move that only changes a node's field."""

    def change(_scene: Scene, node: Node, _number: int) -> None:
        setattr(node, field, value)

    return change


def _cutting(*, cut: bool, both: bool) -> Action:
    """A move that cuts or heals what a node sends, or all."""

    def change(scene: Scene, node: Node, _number: int) -> None:
        for side in (0, 1) if both else (node.side,):
            scene.cut[side] = cut

    return change


def _witness(*, up: bool) -> Action:
    def change(scene: Scene, _node: Node, _number: int) -> None:
        scene.witness_up = up

    return change


def _posting(event: ev.Event) -> Action:
    """A move that is an event."""

    def happen(scene: Scene, node: Node, _number: int) -> None:
        post(scene, node, event)

    return happen


Action: TypeAlias = Callable[[Scene, Node, int], None]

MOVES: Final[Mapping[str, Action]] = {
    "deliver": deliver,
    "journal": _journal,
    "save": _save,
    "start": _start,
    "stop services": _stop_services,
    "update": _update,
    "give up dialling": _give_up_dialling,
    "give up asking": _give_up_asking,
    "fence": _fence,
    "fence fails": _fence_fails,
    "vote": _vote,
    "lose vote": _lose_vote,
    "late vote": _late_vote,
    "leave": _leave,
    "crash": lambda scene, node, _: crash(scene, node),
    "die": lambda scene, node, _: die(scene, node),
    "start node": _start_node,
    "freeze": _setting("asleep", 0.0),
    "thaw": _thaw,
    "cut": _cutting(cut=True, both=False),
    "part": _cutting(cut=True, both=True),
    "heal": _cutting(cut=False, both=False),
    "unite": _cutting(cut=False, both=True),
    "slow disk": _setting("slow_disk", True),
    "quick disk": _setting("slow_disk", False),
    "slow services": _setting("slow_services", True),
    "quick services": _setting("slow_services", False),
    "cut off": _setting("cut_off", True),
    "reach": _setting("cut_off", False),
    "witness down": _witness(up=False),
    "witness up": _witness(up=True),
    "reset": _reset,
    "stop": _posting(ev.StopAsked()),
    "switchover": _posting(ev.SwitchoverAsked(1)),
    "force": _posting(ev.TakeoverAsked(1, force=True)),
    "pause": _posting(ev.PauseAsked(1, on=True)),
    "resume": _posting(ev.PauseAsked(1, on=False)),
    "time": _pass_time,
}
"""What each kind of move does."""
