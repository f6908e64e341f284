"""The role machine for exploration: real steps, each computed once, of models in normal form."""

from __future__ import annotations

from typing import Any, Final, Generic, NamedTuple, TypeVar

from sbs.core import effects as ef
from sbs.core import events as ev
from sbs.core.claim import Claim
from sbs.core.role import Model, deadline, transition
from sbs.testing.explorer.normal import normalise, relative, renumbered, shifted, ungranted
from sbs.testing.explorer.steps import PromiseError, check_step

T = TypeVar("T")

MAX_DUE: Final = 12
"""Steps that a deadline may cause at one instant: a machine that goes on has a busy loop."""


class Kept(Generic[T]):
    """A value that exists once: compared, and hashed, as an object."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value: T = value

    def __repr__(self) -> str:
        return f"Kept({self.value!r})"


class Outcome(NamedTuple):
    """What an event leads to.

    Args:
        model: after it, and after all that is due then.
        effects: to perform in this order.
        asks: how many lease requests are among them.
    """

    model: Kept[Model]
    effects: tuple[ef.Effect, ...]
    asks: int


class Machine:
    """Steps of the role machine, each computed once.

    Args:
        normal: leave out what cannot matter; else only serial numbers and times are made relative.
    """

    def __init__(self, *, normal: bool = True) -> None:
        self._normal = normal
        self._values: dict[object, Kept[Any]] = {}
        self._outcomes: dict[tuple[Kept[Model], Kept[ev.Event]], Outcome] = {}
        self._later: dict[tuple[Kept[Model], float], Kept[Model]] = {}
        self._renumbered: dict[tuple[Kept[Any], int], Kept[Any]] = {}
        self._due: dict[Kept[Model], float | None] = {}
        self._claims: dict[Kept[Model], Kept[Claim]] = {}

    def keep(self, value: T) -> Kept[T]:
        """The one object for all values that equal this one."""
        kept = self._values.get(value)
        if kept is None:
            kept = self._values[value] = Kept(value)
        return kept

    def model(self, model: Model) -> Kept[Model]:
        """A model in its normal form."""
        model = relative(model)
        return self.keep(normalise(model) if self._normal else model)

    def durable(self, durable: ef.Durable) -> Kept[ef.Durable]:
        """A durable state in the normal form of its model."""
        return self.keep(ungranted(durable) if self._normal else durable)

    def step(self, model: Kept[Model], event: Kept[ev.Event]) -> Outcome:
        """Take an event, before it what is due, and after it what is due then.

        Raises:
            PromiseError: the step breaks a promise.
        """
        key = (model, event)
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcomes[key] = self._step(model.value, event.value)
        return outcome

    def _step(self, model: Model, event: ev.Event) -> Outcome:
        effects: list[ef.Effect] = []
        asks = model.votes.asks

        def take(event: ev.Event) -> None:
            nonlocal model
            before, (model, new) = model, transition(model, event, 0.0)
            check_step(before, event, model, new)
            effects.extend(new)

        if not isinstance(event, ev.Heard) and _is_due(model):
            take(ev.TimePassed())
        take(event)
        for _ in range(MAX_DUE):
            if not _is_due(model):
                break
            take(ev.TimePassed())
        else:
            raise PromiseError(f"I5: a busy loop in {model.state.name}")
        asks = model.votes.asks - asks
        return Outcome(self.model(model), tuple(effects), asks)

    def later(self, model: Kept[Model], seconds: float) -> Kept[Model]:
        """The same model when so much time has passed."""
        key = (model, seconds)
        after = self._later.get(key)
        if after is None:
            after = self._later[key] = self.model(shifted(model.value, seconds))
        return after

    def due(self, model: Kept[Model]) -> float | None:
        """In how many seconds the machine wants to be told the time, if at all."""
        if model not in self._due:
            self._due[model] = deadline(model.value)
        return self._due[model]

    def claim(self, model: Kept[Model]) -> Kept[Claim]:
        """What the node says of itself."""
        claim = self._claims.get(model)
        if claim is None:
            claim = self._claims[model] = self.keep(model.value.claim)
        return claim

    def renumbered(self, kept: Kept[T], asks: int) -> Kept[T]:
        """A follower's model, or a message, after its leader has sent more lease requests."""
        key = (kept, asks)
        after = self._renumbered.get(key)
        if after is None:
            after = self._renumbered[key] = self.keep(renumbered(kept.value, asks))
        return after


def _is_due(model: Model) -> bool:
    due = deadline(model)
    return due is not None and due <= 0.0
