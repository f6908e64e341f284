"""What arrives at a node of an explored scene, and what it makes of it."""

from __future__ import annotations

from sbs.core import events as ev
from sbs.core.claim import Claim
from sbs.core.history import History
from sbs.testing.explorer.hands import answer_dead, post, updates_ended
from sbs.testing.explorer.instants import hear
from sbs.testing.explorer.models import Kept
from sbs.testing.explorer.scene import Connection, Node, Scene
from sbs.testing.explorer.words import Commit, Committed, End, Follow, LastWord, Refusal


def deliver(scene: Scene, sender: Node, number: int) -> None:
    """The oldest message of a node on a connection arrives."""
    connection, node = scene.connections[number], scene.peer(sender)
    if not node.up:
        answer_dead(scene, node, sender, number)
        scene.note(f"{node.name} is down: a call is not answered, or refused")
        return
    kept, *rest = connection.queues[sender.side]
    connection.queues[sender.side] = tuple(rest)
    if number == node.model.value.session:
        hear(scene, node)
    message = kept.value
    match message:
        case Claim():
            _meet(scene, node, connection, kept)
        case Refusal() | LastWord() | End() | ev.TurnedAway():
            _end(scene, node, connection, message)
        case Follow(epoch):
            asked = ev.FollowAsked(
                connection=number,
                claim=_claim(connection),
                epoch=epoch,
                opened_at=-connection.age,
            )
            post(scene, node, asked)
        case Commit(history):
            if number == node.model.value.session:
                node.journaling = (scene.machine.keep(history), number)
        case Committed(history):
            _acknowledge(scene, node, number, history)
        case _:
            post(scene, node, message)


def _claim(connection: Connection) -> Claim:
    if connection.claim is None:
        raise AssertionError(f"connection {connection.number} speaks before its hello")
    return connection.claim.value


def _meet(scene: Scene, node: Node, connection: Connection, claim: Kept[Claim]) -> None:
    number, dialled = connection.number, connection.dialler == node.side
    if dialled:
        node.dial = None
    else:
        connection.accepted, connection.claim = True, claim
        answer = (scene.machine.claim(node.model),)
        if connection.open[connection.dialler]:
            connection.queues[node.side] = (*connection.queues[node.side], *answer)
    post(scene, node, ev.PeerMet(connection=number, claim=claim.value, dialled=dialled))


def _end(
    scene: Scene, node: Node, connection: Connection, last: Refusal | LastWord | End | ev.TurnedAway
) -> None:
    number = connection.number
    dialling = node.dial is not None and node.dial[0] == number
    hello_read = connection.accepted or connection.dialler == node.side
    scene.close(node, number)
    if dialling:
        node.dial = None
    match last:
        case LastWord(told):
            post(scene, node, ev.PeerFenced(told))
        case _ if dialling:
            post(scene, node, ev.DialFailed(isinstance(last, Refusal)))
        case ev.TurnedAway():
            post(scene, node, last)
        case Refusal() | End():
            if hello_read:
                post(scene, node, ev.ConnectionLost(number))
    updates_ended(node, number)


def _acknowledge(scene: Scene, node: Node, number: int, history: History) -> None:
    if node.updating is None or node.updating[0] != number:
        return
    phase = node.updating[1]
    after = {"sent": "done", "last after sent": "last due", "last sent": ""}[phase]
    node.updating = (number, after) if after else None
    post(scene, node, ev.GenerationAcknowledged(history.entries[-1]))
    if phase == "last sent":
        post(scene, node, ev.FinalUpdateEnded(True))
