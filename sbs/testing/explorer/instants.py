"""How time passes in an explored scene: from one instant at which something is due to the next."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from sbs.core import events as ev
from sbs.runtime.loop import STALL_SHARE
from sbs.testing.explorer.hands import post
from sbs.testing.explorer.scene import Node, Question, Scene

_DIGITS: Final = 6


def stall_s(node: Node) -> float:
    """A node that did not run for longer takes no silence for the peer's."""
    settings = node.model.value.settings
    return settings.heartbeat_interval_s + STALL_SHARE * settings.down_interval_s


def next_instant(scene: Scene) -> float | None:
    """In how many seconds something is due; ``None``: nothing ever, unless something happens."""
    times = [at for node in scene.nodes for at in _due(scene, node)]
    if scene.holder:
        times.append(scene.lent_s)
    return min((at for at in times if 0 < at < math.inf), default=None)


def _due(scene: Scene, node: Node) -> Iterator[float]:
    if node.serving is not None or node.starting is not None:
        yield node.guard
    if node.kill is not None:
        yield node.kill
    if node.stopping is not None:
        yield node.stopping
    if node.linger > 0:
        yield node.linger
    if node.asleep is not None:
        yield stall_s(node) - node.asleep
    if not node.awake:
        return
    due = scene.machine.due(node.model)
    if due is not None:
        yield due
    if node.model.value.session is not None:
        yield node.model.value.settings.heartbeat_interval_s
    if node.dial is not None:
        yield node.dial[1]
    if node.question is not None:
        yield node.question.left_s


def advance(scene: Scene, seconds: float) -> None:
    """Let so much time pass; then deal with what is due."""
    for node in scene.nodes:
        _age(scene, node, seconds)
    if scene.holder:
        scene.lent_s = _less(scene.lent_s, seconds)
        if scene.lent_s <= 0:
            scene.holder, scene.lent_s = "", 0.0
    oldest_s = scene.nodes[0].model.value.settings.vote_s
    for connection in scene.connections.values():
        if connection.accepted:
            connection.age = min(round(connection.age + seconds, _DIGITS), oldest_s)
    for node in scene.nodes:
        _listen(scene, node)
    for node in scene.nodes:
        due = scene.machine.due(node.model) if node.awake else None
        if due is not None and due <= 0:
            post(scene, node, ev.TimePassed())


def _less(left_s: float, seconds: float) -> float:
    return max(0.0, round(left_s - seconds, _DIGITS))


def _age(scene: Scene, node: Node, seconds: float) -> None:
    if node.up:
        node.model = scene.machine.later(node.model, seconds)
    if node.asleep is not None:
        node.asleep = min(node.asleep + seconds, stall_s(node))
    if node.linger > 0:
        node.linger = _less(node.linger, seconds)
        node.secret = node.secret if node.linger > 0 else 0
    if node.dial is not None:
        node.dial = (node.dial[0], _less(node.dial[1], seconds))
    node.question = _asked(node.question, seconds)
    node.late = _asked(node.late, seconds)
    if node.late is not None and node.late.left_s <= 0:
        node.late = None
    _age_services(node, seconds)


def _asked(question: Question | None, seconds: float) -> Question | None:
    if question is None:
        return None
    return question._replace(left_s=_less(question.left_s, seconds))


def _age_services(node: Node, seconds: float) -> None:
    """The fencer acts in time, whatever SBS does (B31)."""
    if node.stopping is not None:
        node.stopping = _less(node.stopping, seconds)
        if node.stopping <= 0:
            node.serving = None
    if node.kill is not None:
        node.kill = _less(node.kill, seconds)
        if node.kill <= 0:
            node.serving = node.kill = None
    if node.guard == math.inf:
        return
    node.guard = _less(node.guard, seconds)
    if node.guard <= 0 and node.kill is None and node.serving is not None:
        node.kill = node.model.value.settings.stop_bound_s


def _listen(scene: Scene, node: Node) -> None:
    """Heartbeats arrive all the time, so long as nothing is in their way."""
    number = node.model.value.session
    if number is None or not node.awake:
        return
    connection, peer = scene.connections.get(number), scene.peer(node)
    if connection is None or scene.cut[peer.side] or not peer.awake:
        return
    if connection.beats[peer.side] and not connection.queues[peer.side]:
        hear(scene, node)


def hear(scene: Scene, node: Node) -> None:
    """The session's peer gave a sign of life."""
    if node.model.value.heard_at < 0:
        post(scene, node, ev.Heard())
