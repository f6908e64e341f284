"""What must hold in every state of an explored pair; ``steps.py`` has the numbers."""

from __future__ import annotations

from sbs.core.alarm import Alarm
from sbs.core.claim import Mode, Policy
from sbs.core.role import State
from sbs.core.role.model import SERVING
from sbs.testing.explorer.scene import Node, Scene
from sbs.testing.explorer.steps import PromiseError


def check_begin(scene: Scene, node: Node, number: int) -> None:
    """Check that a node's services may begin to run now, in the epoch of this number.

    Raises:
        PromiseError: they may not, by I1 or I2.
    """
    durable = node.disk.value
    if any(used == number for used, _ in scene.used):
        raise PromiseError(f"I2: SBS_EPOCH {number} was used twice")
    if any(used > number for used, side in scene.used if side == node.side):
        raise PromiseError(f"I2: services of {node.name} ran in a newer epoch than {number} before")
    if durable.epoch.number < number or not durable.held:
        raise PromiseError(f"I2: {node.name} serves in {number}, which is not durable")
    peer = scene.nodes[1 - node.side]
    if peer.serving is not None:
        _check_two(scene, node, peer)
        scene.excused |= {number, peer.serving}


def _check_two(scene: Scene, node: Node, peer: Node) -> None:
    text = f"I1: services of {node.name} begin beside those of {peer.name}"
    if scene.setup.never_two:
        raise PromiseError(text)
    if node.forced or peer.forced:
        return
    if scene.setup.policy is not Policy.AVAILABILITY:
        raise PromiseError(text)
    if not (node.silent or peer.silent) and peer.serving not in scene.excused:
        raise PromiseError(f"{text}, and neither was silent")


def check_place(node: Node) -> None:
    """Check that services run, or are started, only in a state that has the role.

    Raises:
        PromiseError: I6 is broken.
    """
    state = node.model.value.state
    busy = node.serving is not None or node.starting is not None
    if node.up and busy and state not in SERVING:
        raise PromiseError(f"I6: services run on {node.name} in {state.name}")


def unsettled(scene: Scene) -> str:
    """Why this is not yet how a pair should stand in peace; empty if it is (I5)."""
    if scene.setup.clash:
        return _divided(scene)
    if not all(node.up for node in scene.nodes):
        return "a node is down"
    primaries = [node for node in scene.nodes if node.model.value.state is State.PRIMARY]
    if len(primaries) != 1:
        return _patient(scene) or f"{len(primaries)} primaries"
    (primary,) = primaries
    secondary = scene.nodes[1 - primary.side]
    if secondary.model.value.state is not State.SECONDARY:
        return f"{secondary.name} does not follow"
    if primary.serving is None or secondary.serving is not None:
        return f"the services do not run on {primary.name}"
    if primary.model.value.session is None or secondary.model.value.session is None:
        return "the nodes are not in session"
    if not primary.model.value.in_step:
        return f"{secondary.name} holds no generation"
    return _owed(primary, secondary)


def _divided(scene: Scene) -> str:
    """R6: of two nodes that make no pair one runs, as it would alone."""
    running = [node for node in scene.nodes if node.up]
    if len(running) != 1:
        return f"{len(running)} nodes run whose modes clash"
    (node,) = running
    settings, model = node.model.value.settings, node.model.value
    if model.state is State.PRIMARY and node.serving is not None:
        return ""
    alone = settings.start_alone and settings.policy is not Policy.PROTECT
    leads = settings.mode is not Mode.BACKUP_ONLY and alone and not model.durable.pause.on
    if leads or model.state is not State.WAITING or not node.alarms:
        return f"{node.name} is {model.state.name}"
    return ""


def _patient(scene: Scene) -> str:
    """Paused, a pair may wait for a person: then an alarm stands."""
    models = [node.model.value for node in scene.nodes]
    waiting = [model.state in (State.WAITING, State.CANDIDATE) for model in models]
    paused = any(model.durable.pause.on for model in models)
    if not paused or not any(waiting):
        return "no primary"
    for node, waits in zip(scene.nodes, waiting, strict=True):
        if waits and not node.alarms:
            return f"{node.name} waits, and no alarm says why"
    return ""


def _owed(primary: Node, secondary: Node) -> str:
    """R4: a ``primary-only`` node gets the role back, unless somebody or something holds it."""
    mode = secondary.model.value.settings.mode
    model = primary.model.value
    held = Alarm.FLAPPING in primary.alarms or model.durable.pause.on
    if mode is Mode.PRIMARY_ONLY and model.settings.failback and not held:
        return f"{secondary.name} did not get its role back"
    return ""
