"""What can happen next in an explored scene (``acts`` says what then happens).

- *Inner* moves end what is under way: a message arrives, a save is done, the witness answers. They
  are urgent: time stands still until all that can end has ended, in any order.
- *Faults* stop, break or delay; what is delayed (a direction of the link, a disk, services, the way
  to the witness) stays so, with all that it carries, until it is repaired. The *commands* of an
  operator are counted likewise.
- *Repairs* are free, at any time.
- *Time* goes on to the next instant at which something is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sbs.core.claim import Policy
from sbs.core.role import State
from sbs.testing.explorer.scene import Connection, Node, Scene
from sbs.testing.explorer.words import Commit


class Move(NamedTuple):
    """Something that may happen.

    Args:
        kind: a key of :data:`MOVES`.
        side: of the node, or of a message's sender.
        number: of a connection.
        fuse: the node crashes after so many of the messages that it would send; 0: it does not.
    """

    kind: str
    side: int = 0
    number: int = 0
    fuse: int = 0


def inner(scene: Scene) -> list[Move]:
    """What is under way and can end now."""
    moves = [
        Move("deliver", sender, connection.number)
        for connection in scene.connections.values()
        for sender in (0, 1)
        if connection.queues[sender] and _can_deliver(scene, connection, sender)
    ]
    for node in scene.nodes:
        if node.awake:
            moves += (Move(kind, node.side) for kind in _inner_of(scene, node))
        if node.leaves and scene.witness_up and not node.cut_off:
            moves.append(Move("leave", node.side))
    return moves


def _can_deliver(scene: Scene, connection: Connection, sender: int) -> bool:
    receiver = scene.nodes[1 - sender]
    if scene.cut[sender] or not connection.open[receiver.side]:
        return False
    if not receiver.up:
        return not connection.accepted and connection.dialler == sender
    if receiver.asleep is not None:
        return False
    busy = receiver.journaling is not None
    return not (busy and isinstance(connection.queues[sender][0].value, Commit))


def _inner_of(scene: Scene, node: Node) -> Iterator[str]:
    if node.journaling is not None and not node.slow_disk:
        yield "journal"
    if node.saves and node.journaling is None and not node.slow_disk:
        yield "save"
    if node.starting is not None and not node.slow_services:
        yield "start"
    if node.stopping is not None and (node.stopping <= 0 or not node.slow_services):
        yield "stop services"
    if node.updating is not None and _can_update(node, *node.updating):
        yield "update"
    if node.dial is not None and node.dial[1] <= 0:
        yield "give up dialling"
    if node.question is not None and node.question.left_s <= 0:
        yield "give up asking"
    elif node.question is not None and _reaches_witness(scene, node) and node.question.holder:
        yield "vote"
    if node.fencing:
        yield "fence"
        yield "fence fails"


def _reaches_witness(scene: Scene, node: Node) -> bool:
    return scene.witness_up and not node.cut_off


def _can_update(node: Node, number: int, phase: str) -> bool:
    if phase == "failed":
        return True
    model = node.model.value
    leads = model.state in (State.STARTING, State.PRIMARY, State.DRAINING)
    return leads and model.session == number and phase in ("due", "last due")


def faults(scene: Scene) -> Iterator[Move]:
    """What may go wrong now."""
    for node in scene.nodes:
        if node.up:
            yield Move("crash", node.side)
            yield Move("die", node.side)
            yield from (Move(kind, node.side) for kind in _delays(scene, node))
        if not scene.cut[node.side]:
            yield Move("cut", node.side)
    if not any(scene.cut):
        yield Move("part")
    if scene.setup.policy is Policy.QUORUM and scene.witness_up:
        yield Move("witness down")
    for connection in scene.connections.values():
        if connection.accepted:
            yield Move("reset", 0, connection.number)


def _delays(scene: Scene, node: Node) -> Iterator[str]:
    if node.asleep is None:
        yield "freeze"
    if not node.slow_disk and (node.saves or node.journaling):
        yield "slow disk"
    if not node.slow_services and (node.starting is not None or node.stopping is not None):
        yield "slow services"
    if scene.setup.policy is Policy.QUORUM:
        if not node.cut_off:
            yield "cut off"
        if node.awake and node.question is not None and _reaches_witness(scene, node):
            yield "lose vote"


def repairs(scene: Scene) -> Iterator[Move]:
    """What may be mended now, or arrive late."""
    for node in scene.nodes:
        if not node.up:
            yield Move("start node", node.side)
        if node.asleep is not None:
            yield Move("thaw", node.side)
        if scene.cut[node.side]:
            yield Move("heal", node.side)
        for kind, broken in (
            ("quick disk", node.slow_disk),
            ("quick services", node.slow_services),
            ("reach", node.cut_off),
            ("late vote", node.late is not None and scene.witness_up),
        ):
            if broken:
                yield Move(kind, node.side)
    if all(scene.cut):
        yield Move("unite")
    if not scene.witness_up:
        yield Move("witness up")


_SEEKING = frozenset({State.PROBING, State.WAITING, State.CANDIDATE, State.SECONDARY})


def commands(scene: Scene) -> Iterator[Move]:
    """What an operator may ask for now."""
    for node in scene.nodes:
        if not node.awake:
            continue
        model = node.model.value
        yield Move("stop", node.side)
        if model.state is State.PRIMARY:
            yield Move("switchover", node.side)
        if model.state in _SEEKING and model.session is None:
            yield Move("force", node.side)
        yield Move("resume" if model.durable.pause.on else "pause", node.side)
