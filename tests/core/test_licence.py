"""The rule of licences: what it lets start (R40 to R44).

The tables are written from the requirements and docs/licences.md, not from the code. Each path is
played on the real role machine, through its durable state, and the rule is asked at its end.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import attrs
import pytest

from sbs.core import effects as ef
from sbs.core import events as ev
from sbs.core.alarm import Alarm
from sbs.core.claim import Claim, Mode, Role
from sbs.core.effects import Durable, Via
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import Generation, History
from sbs.core.licence import (
    UNLICENSED,
    WARN_DAYS,
    Kind,
    Licence,
    Standing,
    Start,
    may_run,
    refusal,
    standing,
)
from sbs.core.role import Model, Settings, State, steps, transition

TODAY: Final = dt.date(2026, 3, 1)
ME: Final = Settings(node_id="a" * 32, name="alpha", enabled=("one", "two"))
THEIRS: Final = History((Generation(Epoch(1, 1), 0), Generation(Epoch(1, 1), 1, b"x" * 32)))
FOLLOWED: Final = Durable(slot=0, epoch=Epoch(1, 1), history=THEIRS, active=("one", "two"))
"""Of a node that follows the other one."""

NEVER: Final = Durable(slot=0, epoch=NO_EPOCH)
"""Of a node that never ran."""

OWN: Final = attrs.evolve(
    NEVER, epoch=Epoch(3, 0), history=History((Generation(Epoch(3, 0), 1),)), held=False
)
"""Of a node that led last, and has given the role back."""

WELCOMED: Final = attrs.evolve(NEVER, epoch=Epoch(1, 1), active=("one", "two"))
"""Of a node that was welcomed as follower, and lost its primary before its first generation."""

HEARD: Final = attrs.evolve(OWN, epoch=Epoch(4, 1))
HANDED: Final = attrs.evolve(OWN, released=True)


def licence(kind: Kind, expires: dt.date | None = None) -> Licence:
    return Licence(
        serial="17",
        kind=kind,
        holder="Ltd",
        node="alpha",
        issued=dt.date(2026, 1, 1),
        expires=expires,
    )


# How a primacy begins, and whether that is in place of a primary that failed (R41, R42).

BEGINNINGS: Final[Mapping[str, tuple[Via, Durable, bool]]] = {
    "started alone, never ran": (Via.DIRECT, NEVER, False),
    "started alone, has followed": (Via.DIRECT, FOLLOWED, False),
    "started alone, has led": (Via.DIRECT, OWN, False),
    "started together, and is followed": (Via.FOLLOWED, NEVER, False),
    "started together, newer data": (Via.FOLLOWED, OWN, False),
    "primary's process gone": (Via.REFUSED, FOLLOWED, True),
    "primary silent": (Via.SILENCE, FOLLOWED, True),
    "primary's fencer told": (Via.FENCED, FOLLOWED, True),
    "primary handed over": (Via.RELEASED, FOLLOWED, True),
    "primary came back undecided": (Via.YIELDED, FOLLOWED, True),
    "forced, the other led last": (Via.FORCED, FOLLOWED, True),
    "forced, the first copy was not complete": (Via.FORCED, WELCOMED, True),
    "forced, a newer primary was heard of": (Via.FORCED, HEARD, True),
    "forced, has handed its role over": (Via.FORCED, HANDED, True),
    "forced, never ran": (Via.FORCED, NEVER, False),
    "forced, led last itself": (Via.FORCED, OWN, False),
}


def begin(via: Via, durable: Durable) -> Model:
    """A primary that serves."""
    model, _ = steps.claim(Model(settings=ME, durable=durable), 0.0, via)
    return serve(model)


def serve(model: Model) -> Model:
    assert model.state is State.CLAIMING
    model, effects = transition(model, ev.Saved(model.serial), 0.0)
    assert any(isinstance(effect, ef.StartServices) for effect in effects)
    model, _ = transition(model, ev.ServicesStarted(("one", "two")), 0.0)
    assert model.state is State.PRIMARY
    return model


# What happens to SBS afterwards, and whether a grant goes on (R43).


def restart(durable: Durable) -> Model:
    """The node starts again, and nobody answers."""
    model, _ = transition(Model(settings=ME, durable=durable), ev.Started(), 0.0)
    model, _ = transition(model, ev.DialFailed(refused=True), 0.0)
    return serve(model)


def crash(model: Model) -> Model:
    return restart(model.durable)


def end(model: Model) -> Durable:
    """``sbs stop``, without a secondary."""
    model, _ = transition(model, ev.StopAsked(), 0.0)
    model, _ = transition(model, ev.ServicesStopped(), 0.0)
    assert model.state is State.STOPPED
    return model.durable


def stop(model: Model) -> Model:
    return restart(end(model))


def pause_and_stop(model: Model) -> Model:
    model, _ = transition(model, ev.PauseAsked(1, on=True), 0.0)
    return restart(end(model))


def beta(epoch: Epoch, history: History) -> Claim:
    return Claim(
        node_id="b" * 32,
        name="beta",
        mode=Mode.SYMMETRIC,
        priority=100,
        slot=1,
        role=Role.PRIMARY,
        epoch=epoch,
        history=history,
    )


def newer(model: Model) -> Claim:
    """The other node, which has led since."""
    epoch = model.durable.epoch.next(1)
    return beta(epoch, model.durable.history.append(Generation(epoch, 9, b"y" * 32)))


def follow_another(model: Model) -> Model:
    """A crash; the other leads in a newer epoch and is followed, then both stop."""
    leader = newer(model)
    model, _ = transition(Model(settings=ME, durable=model.durable), ev.Started(), 0.0)
    met = ev.PeerMet(connection=1, claim=leader, dialled=True)
    model, _ = transition(model, met, 0.0)
    welcomed = ev.Welcomed(connection=1, epoch=leader.epoch, history=leader.history)
    model, _ = transition(model, welcomed, 0.0)
    assert model.state is State.SECONDARY
    model, _ = transition(model, ev.StopAsked(), 0.0)
    return restart(model.durable)


def renew(model: Model) -> Model:
    """Another primary of a newer epoch is met, and gives way."""
    other = beta(model.durable.epoch.next(1), History())
    met = ev.PeerMet(connection=1, claim=other, dialled=True)
    model, _ = transition(model, met, 0.0)
    assert model.state is State.RENEWING
    model, _ = transition(model, ev.ServicesStopped(), 0.0)
    return serve(model)


def fail_to_hand_over(model: Model) -> Model:
    """The secondary vanishes while it takes the role; this node goes on."""
    model = attrs.evolve(model, session=1, in_step=True)
    model, _ = transition(model, ev.SwitchoverAsked(1), 0.0)
    model, _ = transition(model, ev.ServicesStopped(), 0.0)
    model, _ = transition(model, ev.FinalUpdateEnded(done=True), 0.0)
    model, _ = transition(model, ev.Saved(model.serial), 0.0)
    model, _ = transition(model, ev.ConnectionLost(1), 0.0)
    assert model.state is State.PROBING
    model, _ = transition(model, ev.DialFailed(refused=True), 0.0)
    return serve(model)


def be_forced(durable: Durable) -> Model:
    """The node starts again, and an operator forces it before it has decided by itself."""
    model, _ = transition(Model(settings=ME, durable=durable), ev.Started(), 0.0)
    model, _ = transition(model, ev.TakeoverAsked(1, force=True), 0.0)
    return serve(model)


Play: TypeAlias = Callable[[Model], Model]

AFTERWARDS: Final[Mapping[str, tuple[Play, bool]]] = {
    "nothing": (lambda model: model, True),
    "SBS crashes and starts again": (crash, True),
    "it crashes twice": (lambda model: crash(crash(model)), True),
    "sbs pause, sbs stop, start": (pause_and_stop, True),
    "a newer epoch is outlived": (renew, True),
    "a handover fails": (fail_to_hand_over, True),
    "SBS crashes, sbs takeover --force": (lambda model: be_forced(model.durable), True),
    "sbs stop, start": (stop, False),
    "sbs stop, sbs takeover --force": (lambda model: be_forced(end(model)), False),
    "another primary of a newer epoch": (follow_another, False),
}

# What an operator does to the services by hand, and whether a grant goes on (R43).


def stopped_by_hand(*active: tuple[str, ...]) -> Play:
    def play(model: Model) -> Model:
        for names in active:
            model, _ = transition(model, ev.ActiveChanged(names), 0.0)
        return model

    return play


BY_HAND: Final[Mapping[str, tuple[Play, bool]]] = {
    "nothing": (stopped_by_hand(), True),
    "one of two stopped": (stopped_by_hand(("two",)), True),
    "one stopped and started, then the other": (
        stopped_by_hand(("two",), ("one", "two"), ("one",)),
        True,
    ),
    "both stopped": (stopped_by_hand(("two",), ()), False),
    "both stopped, SBS crashes": (lambda model: crash(stopped_by_hand(())(model)), False),
}

# Which licence there is, and whether it lets services start without a grant (R40, R44).

DAY: Final = dt.timedelta(days=1)
LICENCES: Final[Mapping[str, tuple[Standing, bool]]] = {
    "none is needed": (UNLICENSED, True),
    "full": (standing(licence(Kind.FULL), "f", TODAY), True),
    "full, its last day": (standing(licence(Kind.FULL, TODAY), "f", TODAY), True),
    "full, ended": (standing(licence(Kind.FULL, TODAY - DAY), "f", TODAY), False),
    "backup": (standing(licence(Kind.BACKUP), "f", TODAY), False),
    "backup, its last day": (standing(licence(Kind.BACKUP, TODAY), "f", TODAY), False),
    "backup, ended": (standing(licence(Kind.BACKUP, TODAY - DAY), "f", TODAY), False),
    "removed while running": (Standing(problem="f: missing", absent=True), False),
    "forged while running": (Standing(problem="f: forged"), False),
}


@pytest.mark.parametrize("how", BEGINNINGS)
def test_what_may_start(how: str) -> None:
    """R40 to R44: each way to begin, with each that may come after it, under each licence."""
    via, durable, replaces = BEGINNINGS[how]
    for then, hand in itertools.product(AFTERWARDS, BY_HAND):
        (play, goes_on), (touch, is_kept) = AFTERWARDS[then], BY_HAND[hand]
        model = touch(play(begin(via, durable)))
        assert model.via is not None
        for (name, (now, free)), by_operator in itertools.product(LICENCES.items(), (False, True)):
            start = Start(via=model.via, granted=model.durable.granted, by_operator=by_operator)
            text = refusal(now, start)
            allowed = free or (replaces and goes_on and is_kept)
            what = f"{how}; {then}; by hand: {hand}; licence: {name}; operator: {by_operator}"
            assert (not text) == allowed, f"{what}: allowed must be {allowed}: {text}"
            assert "\n" not in text


def test_every_way_to_become_primary_is_in_the_table() -> None:
    direct = {via for via, _, _ in BEGINNINGS.values()}
    assert direct | {Via.RESUMED, Via.RENEWED} == set(Via)


def test_a_force_before_the_first_copy_is_complete_is_a_takeover() -> None:
    """R42: the primary that welcomed this node dies before a generation is held here."""
    leader = attrs.evolve(beta(Epoch(1, 1), THEIRS), services_die=True)
    model, _ = transition(Model(settings=ME, durable=NEVER), ev.Started(), 0.0)
    met = ev.PeerMet(connection=1, claim=leader, dialled=True)
    model, _ = transition(model, met, 0.0)
    welcomed = ev.Welcomed(connection=1, epoch=leader.epoch, history=leader.history)
    model, _ = transition(model, welcomed, 0.0)
    model, _ = transition(model, ev.ConnectionLost(1), 0.0)
    model, effects = transition(model, ev.DialFailed(refused=True), 0.0)
    alarms = [effect.alarm for effect in effects if isinstance(effect, ef.RaiseAlarm)]
    assert Alarm.NO_GENERATION in alarms
    model, _ = transition(model, ev.TakeoverAsked(1, force=True), 0.0)
    model = serve(model)
    assert (model.via, model.durable.granted) == (Via.FORCED, True)


def test_the_grant_is_saved_with_the_epoch_that_it_belongs_to() -> None:
    """R43: no crash comes between them."""
    model, effects = steps.claim(Model(settings=ME, durable=FOLLOWED), 0.0, Via.SILENCE)
    saves = [effect for effect in effects if isinstance(effect, ef.Save)]
    assert [(save.durable.held, save.durable.granted) for save in saves] == [(True, True)]
    assert saves[0].durable.epoch == model.primacy


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (Via.DIRECT, "this is none (no other node answered at the start)"),
        (Via.SILENCE, "the services of the takeover were stopped by hand since"),
        (Via.FORCED, "the other node is not known to have led before this one was forced, or the"),
    ],
)
def test_a_refusal_says_what_to_do(how: Via, says: str) -> None:
    """R41"""
    text = refusal(Standing(licence=licence(Kind.BACKUP)), Start(via=how, granted=False))
    assert says in text
    assert "licence 17 is of the kind backup" in text
    assert text.endswith("let the main server lead, or install a full licence")


def test_a_refusal_for_a_licence_that_does_not_count_names_the_problem() -> None:
    text = refusal(
        Standing(problem="/l: the licence is missing"), Start(via=Via.DIRECT, granted=False)
    )
    assert text.endswith("/l: the licence is missing")


@pytest.mark.parametrize(
    ("expires", "left", "problem", "warning"),
    [
        (None, None, "", ""),
        (TODAY + WARN_DAYS * DAY, WARN_DAYS + 1, "", ""),
        (TODAY + (WARN_DAYS - 1) * DAY, WARN_DAYS, "", "ends in 30 days, after 2026-03-30"),
        (TODAY, 1, "", "ends in 1 day, after 2026-03-01"),
        (TODAY - DAY, 0, "ended on 2026-02-28; put a new one in its place", ""),
        (TODAY - 400 * DAY, 0, "ended on 2025-01-25", ""),
    ],
)
def test_the_end_is_told_ahead(
    expires: dt.date | None, left: int | None, problem: str, warning: str
) -> None:
    """B40"""
    issued = licence(Kind.FULL, expires)
    assert issued.days_left(TODAY) == left
    found = standing(issued, "/l", TODAY)
    assert found.licence == issued
    for text, says in ((found.problem, problem), (found.warning, warning)):
        assert bool(text) == bool(says)
        assert says in text
        assert text.startswith("/l: the licence") or not text


@pytest.mark.parametrize(
    ("found", "granted", "runs"),
    [
        (UNLICENSED, False, True),
        (Standing(licence=licence(Kind.BACKUP)), False, True),
        (Standing(licence=licence(Kind.BACKUP), problem="ended"), False, False),
        (Standing(licence=licence(Kind.BACKUP), problem="ended"), True, True),
        (Standing(problem="missing", absent=True), False, False),
        (Standing(problem="missing", absent=True), True, True),
        (Standing(problem="forged"), False, False),
        (Standing(problem="forged"), True, False),
    ],
)
def test_a_node_runs_with_a_licence(found: Standing, granted: bool, runs: bool) -> None:
    """B40, R43: to go on with a takeover after a crash, only a wrong licence is none."""
    assert may_run(found, granted=granted) == runs


@pytest.mark.parametrize("name", ["serial", "holder", "node"])
@pytest.mark.parametrize("value", ["", "x" * 201, "a\nb", "\ud800", 5])
def test_texts_of_a_licence_are_short_and_printable(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} = .*: allowed is a string of 1 to 200"):
        attrs.evolve(licence(Kind.FULL), **{name: value})


@pytest.mark.parametrize("value", [dt.datetime(2026, 1, 1, 5), "2026-01-01", None])
def test_days_of_a_licence_are_dates(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^issued = .*: allowed is a date, as 2027-01-31"):
        attrs.evolve(licence(Kind.FULL), issued=value)
