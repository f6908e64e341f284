"""What the shell of an explored node does: gives its machine events, performs its effects.

What takes time becomes part of the scene, and ends by a move (:mod:`~sbs.testing.explorer.moves`).
"""

from __future__ import annotations

import hashlib
import math
from typing import TypeAlias, assert_never

from sbs.core import effects as ef
from sbs.core import events as ev
from sbs.core.alarm import Alarm
from sbs.core.claim import Policy, Role
from sbs.core.history import DIGEST_BYTES, Generation
from sbs.core.role import State
from sbs.testing.explorer.models import Kept
from sbs.testing.explorer.promises import check_place
from sbs.testing.explorer.scene import (
    LATE_S,
    LINGER_S,
    Node,
    OutOfBoundsError,
    Question,
    Scene,
    bequest,
    secret,
)
from sbs.testing.explorer.steps import PromiseError
from sbs.testing.explorer.words import Commit, End, Follow, LastWord, Refusal

_Speech: TypeAlias = (
    ef.SendFollow
    | ef.SendWelcome
    | ef.TakeUpdates
    | ef.SendReleased
    | ef.SendTaken
    | ef.SendServing
    | ef.SendAskLease
    | ef.SendGrant
    | ef.SendPause
)


def post(scene: Scene, node: Node, event: ev.Event) -> None:
    """Give a node's machine an event, and perform what it wants."""
    kept = scene.machine.keep(event)
    before = node.model.value
    outcome = scene.machine.step(node.model, kept)
    node.model = outcome.model
    after = node.model.value
    scene.note(f"{node.name}: {_words(event)}: {before.state.name} -> {after.state.name}")
    begins = after.state is State.CLAIMING and before.state is not State.CLAIMING
    if begins and after.via is not ef.Via.RENEWED:
        node.forced = after.via is ef.Via.FORCED
        node.silent = after.durable.on_silence
        if after.durable.epoch.counter > scene.max_primacies:
            raise OutOfBoundsError("primacies")
    if after.state not in (State.WAITING, State.CANDIDATE):
        node.alarms &= _LASTING
    for effect in outcome.effects:
        if scene.fuse == 0 and isinstance(effect, _OUTWARD):
            scene.fuse = None
            crash(scene, node)
        if not node.up:
            return
        if scene.fuse and isinstance(effect, _OUTWARD):
            scene.fuse -= 1
        _perform(scene, node, effect)
    if outcome.asks:
        scene.renumber(node, outcome.asks)
    check_place(node)


_LASTING = frozenset({Alarm.FLAPPING})
"""Alarms that are looked at in states that do not wait."""

_OUTWARD = (
    ef.Close,
    ef.Refuse,
    ef.SendFollow,
    ef.SendWelcome,
    ef.SendReleased,
    ef.SendTaken,
    ef.SendServing,
    ef.SendAskLease,
    ef.SendGrant,
    ef.SendPause,
)
"""Effects that somebody else sees: a crash among them leaves the rest undone."""


def _words(event: ev.Event) -> str:
    number = getattr(event, "connection", None)
    name = type(event).__name__
    details = [f"on {number}"] if number is not None else []
    for field in ("epoch", "refused", "granted", "error", "done", "on", "force", "dialled"):
        value = getattr(event, field, None)
        if value not in (None, ""):
            details.append(f"{field} {value}")
    return f"{name}({', '.join(details)})" if details else name


def crash(scene: Scene, node: Node) -> None:
    """SBS is killed: its services die with it, the kernel closes its connections."""
    for connection in scene.links(node):
        if connection.accepted or connection.dialler == node.side:
            scene.close(node, connection.number)
    _end_life(scene, node)
    if node.secret:
        node.linger = LINGER_S


def die(scene: Scene, node: Node) -> None:
    """The whole machine is off: nobody closes anything, nobody answers."""
    for connection in scene.links(node):
        connection.open[node.side] = connection.beats[node.side] = False
        connection.queues[1 - node.side] = ()
        if not any(connection.open):
            del scene.connections[connection.number]
    _end_life(scene, node)
    node.dark = True
    node.secret = 0


def _end_life(scene: Scene, node: Node) -> None:
    forget_question(node)
    node.up = False
    node.model = scene.fresh_model(node.side, node.disk.value)
    node.asleep = node.dial = node.journaling = None
    node.serving = node.starting = node.stopping = node.kill = node.updating = None
    node.guard = math.inf
    node.saves = node.leaves = ()
    node.fencing = node.forced = node.silent = False
    node.slow_disk = node.slow_services = False
    node.alarms = frozenset()


def _perform(scene: Scene, node: Node, effect: ef.Effect) -> None:
    match effect:
        case ef.Dial(timeout_s):
            node.dial = (scene.connect(node), timeout_s)
        case ef.Save(_, durable):
            _save(scene, node, durable)
        case ef.StartServices(epoch):
            _start(node, epoch.number)
        case ef.StopServices():
            node.starting = None  # what has not started yet does not start
            node.stopping = node.model.value.settings.stop_bound_s
        case ef.Guard(until):
            node.guard = until
            node.kill = None
        case ef.AskWitness() | ef.LeaveWitness():
            _consult(node, effect)
        case ef.Fence():
            node.fencing = True
        case ef.FinalUpdate(number):
            _finish_updates(scene, node, number)
        case ef.Close(number):
            hang_up(scene, node, number)
        case ef.Refuse(number, code, _):
            scene.say(node, number, ev.TurnedAway(number, code, ""))
            hang_up(scene, node, number)
        case ef.Exit():
            _exit(scene, node)
        case ef.TellRole() | ef.RaiseAlarm() | ef.ClearAlarm() | ef.Answer():
            _tell(node, effect)
        case _:
            _speak(scene, node, effect)


def _save(scene: Scene, node: Node, durable: ef.Durable) -> None:
    """One is being written; of those that wait only the newest is, for it holds all others."""
    writing = tuple((serial - 1, kept) for serial, kept in node.saves[:1])
    node.saves = (*writing, (0, scene.machine.durable(durable)))


def _tell(node: Node, effect: ef.TellRole | ef.RaiseAlarm | ef.ClearAlarm | ef.Answer) -> None:
    match effect:
        case ef.TellRole(role):
            node.secret = node.secret if role is Role.PRIMARY else 0
        case ef.RaiseAlarm(alarm):
            waits = node.model.value.state in (State.WAITING, State.CANDIDATE)
            node.alarms |= {alarm} if waits else {alarm} & _LASTING
        case ef.ClearAlarm(alarm):
            node.alarms -= {alarm}
        case ef.Answer():
            pass  # operators are not explored beyond what they ask for
        case _:
            assert_never(effect)


def _start(node: Node, number: int) -> None:
    busy = (node.starting, node.serving, node.stopping) != (None, None, None)
    if busy:
        raise PromiseError(f"I6: {node.name} starts services that were not stopped")
    node.starting = number


def _consult(node: Node, effect: ef.AskWitness | ef.LeaveWitness) -> None:
    forget_question(node)
    match effect:
        case ef.AskWitness():
            name = f"{node.name}.{node.life}.{effect.term}"
            node.question = Question(name, effect.replaces, effect.within_s)
        case ef.LeaveWitness(term):
            node.leaves = (*node.leaves, f"{node.name}.{node.life}.{term}")
        case _:
            assert_never(effect)


def forget_question(node: Node) -> None:
    """Nobody waits for its answer any more; it may still arrive."""
    if node.question is not None and node.question.holder:
        node.late = node.question._replace(left_s=LATE_S)
    node.question = None


def _exit(scene: Scene, node: Node) -> None:
    if (node.starting, node.serving) != (None, None):
        raise PromiseError(f"I6: {node.name} ends while its services run")
    durable = node.model.value.durable
    leaves = node.leaves
    crash(scene, node)
    node.leaves = leaves
    node.disk = scene.machine.keep(durable)
    node.secret, node.linger = 0, 0.0


def hang_up(scene: Scene, node: Node, number: int) -> None:
    """Close a connection; an update on it is over."""
    scene.close(node, number)
    updates_ended(node, number)


def updates_ended(node: Node, number: int) -> None:
    """The connection is gone; a last update on it can no longer succeed."""
    if node.updating is not None and node.updating[0] == number:
        node.updating = (0, "failed") if node.updating[1].startswith("last") else None


def _finish_updates(scene: Scene, node: Node, number: int) -> None:
    connection = scene.connections.get(number)
    stands = connection is not None and connection.open[node.side]
    if not stands or node.updating is None or node.updating[0] != number:
        node.updating = (0, "failed")
        return
    phase = {"due": "last due", "sent": "last after sent", "done": "last due"}[node.updating[1]]
    node.updating = (number, phase)


def _speak(scene: Scene, node: Node, effect: _Speech) -> None:
    match effect:
        case ef.SendFollow(number, epoch):
            scene.say(node, number, Follow(epoch))
            _beat(scene, node, number)
        case ef.SendWelcome(number):
            _welcome(scene, node, effect)
        case ef.TakeUpdates():
            pass  # a commit is looked at when it comes
        case ef.SendReleased(connection=number):
            released = ev.RoleReleased(
                connection=number,
                epoch=effect.epoch,
                generation=effect.generation,
                granted=effect.granted,
                leaving=effect.leaving,
            )
            scene.say(node, number, released)
        case ef.SendTaken(number, epoch):
            scene.say(node, number, ev.RoleTaken(number, epoch))
        case ef.SendServing(number, epoch):
            scene.say(node, number, ev.PeerServing(number, epoch))
        case ef.SendPause(number, pause):
            scene.say(node, number, ev.PauseTold(number, pause))
        case ef.SendAskLease(connection=number):
            asked = ev.LeaseAsked(
                connection=number, epoch=effect.epoch, serial=effect.serial, hold_s=effect.hold_s
            )
            scene.say(node, number, asked)
        case ef.SendGrant(number, serial):
            scene.say(node, number, ev.LeaseGranted(number, serial))
        case _:
            assert_never(effect)


def _welcome(scene: Scene, node: Node, effect: ef.SendWelcome) -> None:
    number = effect.connection
    welcomed = ev.Welcomed(connection=number, epoch=effect.epoch, history=effect.history)
    if not scene.say(node, number, welcomed):
        return
    node.secret = scene.fresh_secret(node)
    holder = scene.holder_name(node) if scene.setup.policy is Policy.QUORUM else ""
    scene.say(node, number, ev.WillTold(number, bequest(node, node.secret, holder)))
    _beat(scene, node, number)
    node.updating = (number, "due")


def _beat(scene: Scene, node: Node, number: int) -> None:
    connection = scene.connections.get(number)
    if connection is not None and connection.open[node.side]:
        connection.beats[node.side] = True


def propose(scene: Scene, node: Node, number: int) -> None:
    """Send the leader's next generation."""
    model = node.model.value
    content = f"{model.primacy} {model.durable.history.number + 1}"
    digest = hashlib.sha256(content.encode()).digest()[:DIGEST_BYTES]
    generation = Generation(model.primacy, model.durable.history.number + 1, digest)
    history = model.durable.history.append(generation)
    post(scene, node, ev.GenerationProposed(generation))
    scene.say(node, number, Commit(history))


def answer_dead(scene: Scene, node: Node, caller: Node, number: int) -> None:
    """Somebody dials a node that is down: its fencer answers, or its kernel, or nobody."""
    connection = scene.connections[number]
    connection.queues[caller.side] = ()
    connection.open[node.side] = False
    if node.dark:
        return
    told = node.secret and node.linger > 0
    last = LastWord(secret(node, node.secret)) if told else Refusal()
    queue: tuple[Kept[object], ...] = (scene.machine.keep(last), scene.machine.keep(End()))
    connection.queues[node.side] = queue
