"""What the explorer leaves out of a model does not matter: walks with it go the same way."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
import pytest

from sbs.core.claim import Policy
from sbs.core.effects import Durable
from sbs.core.role import Model
from sbs.testing.explorer.acts import apply
from sbs.testing.explorer.instants import next_instant
from sbs.testing.explorer.models import Kept, Machine
from sbs.testing.explorer.moves import Move, commands, faults, inner, repairs
from sbs.testing.explorer.normal import ungranted
from sbs.testing.explorer.scene import OutOfBoundsError, Scene
from sbs.testing.explorer.setup import Setup
from tests.exploration.searches import MODES

WALKS = 40
"""By each policy."""

STEPS = 150

OFTEN = 0.85
"""The share of what goes on by itself."""


@attrs.define
class Walker:
    """A scene that goes one way."""

    scene: Scene

    def moves(self) -> tuple[list[Move], list[Move]]:
        """What goes on by itself, and what else may happen."""
        scene = self.scene
        inward = inner(scene) or ([] if next_instant(scene) is None else [Move("time")])
        return inward, [*repairs(scene), *faults(scene), *commands(scene)]

    def seen(self) -> Any:
        """All that is to be seen of it: everything but the machines' memories."""
        return _plain(self.scene.frozen()), next_instant(self.scene)


def _plain(value: Any) -> Any:
    match value:
        case Kept(value=Model() as model):
            durable = ungranted(model.durable)
            return model.state, durable, model.session, model.authority_until > 0
        case Kept(value=Durable() as durable):
            return ungranted(durable)
        case Kept(value=inside):
            return inside
        case tuple():
            return tuple(_plain(each) for each in value)
        case _:
            return value


@pytest.mark.parametrize("policy", Policy)
def test_walks_with_and_without_normal_form_are_the_same(policy: Policy) -> None:
    steps = 0
    for seed in range(WALKS):
        random = Random(f"walk {policy.value} {seed}")
        setup = Setup(
            policy=policy,
            modes=random.choice(MODES),
            fence=random.random() < 0.2,
            start_alone=random.random() < 0.8,
        )
        scenes = [Scene(setup, Machine(normal=normal)) for normal in (True, False)]
        steps += _walk([Walker(scene) for scene in scenes], random)
    assert steps > WALKS * STEPS / 3


def _walk(walkers: list[Walker], random: Random) -> int:
    for step in range(STEPS):
        (inward, outward), other = (walker.moves() for walker in walkers)
        assert (inward, outward) == other
        often = inward and random.random() < OFTEN
        move = random.choice(inward if often or not outward else outward)
        try:
            for walker in walkers:
                apply(walker.scene, move)
        except OutOfBoundsError:
            return step
        first, second = (walker.seen() for walker in walkers)
        assert first == second
    return STEPS
