"""Any event in any reachable state: a seeded walk over the machine, with a shell that may err."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random

import attrs
import pytest

from sbs.core import effects as ef
from sbs.core import events as ev
from sbs.core.claim import Claim, Mode, Pause, Policy, Role
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import DIGEST_BYTES, Generation, History
from sbs.core.messages import Code
from sbs.core.role import EVENTS, IGNORED, TABLE, Model, Settings, State, deadline, transition
from sbs.core.role.model import HOLDING, SERVING
from sbs.core.testament import SECRET_BYTES, Will
from tests.core.role.scenarios import SCENARIOS

STEPS = 150_000
POOL = 40
"""Models kept of a kind; a new one takes the place of any."""

SECRET = b"s" * SECRET_BYTES
"""Of the leader's fencer."""

MINE, THEIRS, THIRD = "a" * 32, "b" * 32, "c" * 32

HANDLED = {
    state: tuple(event for event, rule in TABLE[state].items() if rule is not IGNORED)
    for state in State
}

Step = tuple[Model, ev.Event, float, Model, tuple[ef.Effect, ...]]


@attrs.define
class Walk:
    """What happened; a step for each kind of it."""

    steps: list[Step] = attrs.field(factory=list)

    @property
    def seen(self) -> set[tuple[State, type[ev.Event], State]]:
        return {
            (before.state, type(event), after.state) for before, event, _, after, _ in self.steps
        }


def any_history(random: Random, base: History) -> History:
    """The same, what came before, what came after, or something else."""
    history = random.choice((base, base, History(base.entries[:-1]), History()))
    for _ in range(random.choice((0, 0, 1, 2))):
        epoch = NO_EPOCH if history.tip is None else history.tip.epoch
        if random.random() < 0.5:
            epoch = epoch.next(random.randrange(2))
        digest = bytes([random.randrange(3)]) * DIGEST_BYTES
        history = history.append(Generation(epoch, history.number + 1, digest))
    return history


def any_pause(random: Random, model: Model) -> Pause:
    known = model.durable.pause
    return random.choice((Pause(),) * 4 + (known, Pause(known.serial + 1, random.random() < 0.3)))


def any_claim(random: Random, model: Model) -> Claim:
    history = any_history(random, model.durable.history)
    leading = model.state in (State.STARTING, State.PRIMARY)
    if leading and model.proposed is not None and random.random() < 0.3:
        history = model.durable.history.append(model.proposed)
    epochs = [model.durable.epoch, model.primacy, NO_EPOCH, model.durable.epoch.next(1)]
    if history.tip is not None:
        epochs.append(history.tip.epoch)
    return Claim(
        node_id=random.choice((THEIRS,) * 18 + (MINE, THIRD)),
        name="b",
        mode=random.choice(tuple(Mode)),
        priority=random.choice((99, 100, 101)),
        slot=random.randrange(2),
        role=random.choice(tuple(Role)),
        epoch=random.choice(epochs),
        history=history,
        on_silence=random.random() < 0.5,
        services_die=random.random() < 0.9,
        policy=random.choice((model.settings.policy,) * 9 + tuple(Policy)),
        pause=any_pause(random, model),
    )


def any_event(random: Random, kind: type[ev.Event], model: Model, now: float) -> ev.Event:
    known = (model.session, model.asking, model.relieves)
    numbers = [number for number in known if number is not None]
    losing = kind in (ev.ConnectionLost, ev.TurnedAway) and random.random() < 0.7
    losing = losing or random.random() < 0.1
    number = 5 if losing or not numbers else random.choice(numbers)
    fresh = random.randrange(9, 1_000_000)
    tip = model.durable.history.tip
    epoch = random.choice((model.durable.epoch, model.primacy, NO_EPOCH, Epoch(99, 1)))
    newest = max(model.durable.epoch, model.primacy)
    next_one = Generation(newest, model.durable.history.number + 1, b"n" * DIGEST_BYTES)
    made: dict[type[ev.Event], Callable[[], ev.Event]] = {
        ev.PeerMet: lambda: ev.PeerMet(
            connection=fresh,
            claim=any_claim(random, model),
            dialled=random.random() < 0.5,
        ),
        ev.DialRejected: ev.DialRejected,
        ev.DialFailed: lambda: ev.DialFailed(random.random() < 0.5),
        ev.FollowAsked: lambda: ev.FollowAsked(
            connection=fresh,
            claim=any_claim(random, model),
            epoch=epoch,
            opened_at=now - random.choice((0.0, 0.0, 1.0, 9.0)),
        ),
        ev.Welcomed: lambda: ev.Welcomed(
            connection=number, epoch=epoch, history=any_history(random, model.durable.history)
        ),
        ev.TurnedAway: lambda: ev.TurnedAway(number, random.choice(tuple(Code)), "no"),
        ev.ConnectionLost: lambda: ev.ConnectionLost(number),
        ev.RoleReleased: lambda: ev.RoleReleased(
            connection=number,
            epoch=epoch,
            generation=random.choice((tip, tip, None)),
            granted=random.choice((0, *(sent.serial for sent in model.votes.granted))),
            leaving=random.random() < 0.3,
        ),
        ev.PeerServing: lambda: ev.PeerServing(number, epoch),
        ev.PeerFenced: lambda: ev.PeerFenced(random.choice((SECRET, SECRET, b"x" * SECRET_BYTES))),
        ev.WillTold: lambda: ev.WillTold(number, Will(hashlib.sha256(SECRET).digest(), "b.1")),
        ev.LeaseAsked: lambda: ev.LeaseAsked(
            connection=number, epoch=epoch, serial=random.randrange(1, 99), hold_s=1.0
        ),
        ev.LeaseGranted: lambda: ev.LeaseGranted(
            number, random.choice((7, *(sent.serial for sent in model.votes.asked)))
        ),
        ev.WitnessAnswered: lambda: ev.WitnessAnswered(
            serial=random.choice((model.votes.ballots, model.votes.ballots, 0)),
            granted=random.random() < 0.6,
            holder=random.choice(("", "b.1")),
            error=random.choice(("", "", "away")),
        ),
        ev.FenceEnded: lambda: ev.FenceEnded(random.choice(("", "it is on"))),
        ev.TakeoverAsked: lambda: ev.TakeoverAsked(8, random.random() < 0.3),
        ev.PauseAsked: lambda: ev.PauseAsked(9, random.random() < 0.3),
        ev.PauseTold: lambda: ev.PauseTold(number, any_pause(random, model)),
        ev.RoleTaken: lambda: ev.RoleTaken(number, epoch),
        ev.Saved: lambda: ev.Saved(
            random.choice((model.serial, model.serial, max(0, model.serial - 1)))
        ),
        ev.ServicesStarted: lambda: ev.ServicesStarted(random.choice(((), ("app",)))),
        ev.ActiveChanged: lambda: ev.ActiveChanged(random.choice(((), ("app",)))),
        ev.FinalUpdateEnded: lambda: ev.FinalUpdateEnded(random.random() < 0.7),
        ev.GenerationProposed: lambda: ev.GenerationProposed(next_one),
        ev.GenerationAcknowledged: lambda: ev.GenerationAcknowledged(model.proposed or next_one),
        ev.GenerationHeld: lambda: ev.GenerationHeld(held_history(model, next_one), ("app",)),
        ev.SwitchoverAsked: lambda: ev.SwitchoverAsked(7),
    }
    return made.get(kind, kind)()


def held_history(model: Model, next_one: Generation) -> History:
    """What a journal that was under way may hold: of the leader's epoch, not of its own."""
    entries = model.durable.history.entries
    if model.state not in (State.CLAIMING, State.DEMOTING):
        return model.durable.history.append(next_one)
    theirs = [entry for entry in entries if entry.epoch < model.primacy]
    if not theirs:
        return History()
    last = theirs[-1]
    return History((*theirs, attrs.evolve(last, number=last.number + 1)))


def first_models(random: Random) -> list[Model]:
    """Nodes that start, with and without a past."""
    begun = History().append(Generation(Epoch(1, 1), 0))
    old = begun.append(Generation(Epoch(1, 1), 1, b"o" * DIGEST_BYTES))
    return [
        Model(
            settings=Settings(
                node_id=MINE,
                name="a",
                mode=mode,
                failback=random.random() < 0.7,
                failback_delay_s=0.5,
                policy=policy,
                lease_s=4.0,
                stop_bound_s=0.0,
                fence=fence,
                start_alone=not fence,
            ),
            durable=ef.Durable(
                slot=0, epoch=epoch, history=history, held=held, active=("app",) if held else None
            ),
        )
        for mode in Mode
        for policy in Policy
        for fence in (False, True)
        for history, epoch in ((History(), NO_EPOCH), (old, Epoch(1, 1)), (old, NO_EPOCH))
        for held in (False, True)
    ]


def kind_of(model: Model) -> str:
    """Rare kinds of models are as likely to take the next step as common ones."""
    marks = (
        model.settings.policy,
        model.stopping,
        model.in_step,
        model.session is None,
        model.failback_at is None,
        model.will is None,
        model.fencing,
        model.durable.pause.on,
    )
    return f"{model.state} {marks}"


def declared_moves() -> set[tuple[State, type[ev.Event], State]]:
    return {
        (state, event, after)
        for state, rules in TABLE.items()
        for event, rule in rules.items()
        for after in rule.leads_to
        if after is not state
    }


def moves_of_scenarios() -> set[tuple[State, type[ev.Event], State]]:
    """For what needs several things to happen at the right times."""
    found: set[tuple[State, type[ev.Event], State]] = set()
    for settings, durable, script in SCENARIOS.values():
        model = Model(settings=settings, durable=durable)
        for now, event in script:
            before, (model, _) = model, transition(model, event, now)
            found.add((before.state, type(event), model.state))
    return found


@pytest.fixture(scope="module")
def walk() -> Walk:
    random = Random(8)
    pools = {"": [(model, 0.0) for model in first_models(random)]}
    walk = Walk()
    for _ in range(STEPS):
        model, now = random.choice(random.choice(tuple(pools.values())))
        handled = HANDLED[model.state] if random.random() < 0.8 else EVENTS
        kind = random.choice(handled)
        due = deadline(model)
        later = now + random.choice((0.0, 0.0, 0.01, 0.01, 0.6, 3.0))
        if kind is ev.TimePassed and due is not None and random.random() < 0.9:
            later = max(later, due)
        event = any_event(random, kind, model, later)
        after, effects = transition(model, event, later)
        walk.steps.append((model, event, later, after, effects))
        if after.durable.epoch.counter > 40:  # else epochs grow without end
            continue
        if after.state is State.STOPPED:
            continue  # an ended machine gets no more events
        pool = pools.setdefault(kind_of(after), [])
        if len(pool) < POOL:
            pool.append((after, later))
        else:
            pool[random.randrange(POOL)] = (after, later)
    for model, now in (random.choice(pool) for pool in [*pools.values()]):
        for kind in EVENTS:  # also what is rare in a state
            event = any_event(random, kind, model, now)
            walk.steps.append((model, event, now, *transition(model, event, now)))
    return walk


def test_every_event_meets_every_state(walk: Walk) -> None:
    assert {(state, event) for state, event, _ in walk.seen} == {
        (state, event) for state in State for event in EVENTS
    }


def test_each_event_leads_where_the_table_says(walk: Walk) -> None:
    """Every declared change of state happens, here or in a scenario, and no other."""
    moves = {move for move in walk.seen if move[0] is not move[2]}
    assert moves <= declared_moves()
    assert declared_moves() - moves <= moves_of_scenarios()


def test_what_is_ignored_changes_nothing(walk: Walk) -> None:
    ignored = [step for step in walk.steps if TABLE[step[0].state][type(step[1])] is IGNORED]
    assert len(ignored) > 1000
    for before, _, _, after, effects in ignored:
        assert after is before
        assert effects == ()


def test_services_start_only_in_a_durable_epoch(walk: Walk) -> None:
    """B2: the number of a primacy is on disk before a service sees it."""
    started = 0
    for before, event, _, after, effects in walk.steps:
        for effect in effects:
            if isinstance(effect, ef.StartServices):
                started += 1
                assert isinstance(event, ev.Saved)
                assert event.serial == before.serial == after.serial
                assert effect.epoch == before.durable.epoch == before.primacy
                assert before.durable.held
                assert before.state is State.CLAIMING
    assert started > 100


def test_saves_are_numbered_one_by_one_and_epochs_never_fall(walk: Walk) -> None:
    for before, _, _, after, effects in walk.steps:
        saves = [effect for effect in effects if isinstance(effect, ef.Save)]
        assert [save.serial for save in saves] == list(range(before.serial + 1, after.serial + 1))
        assert after.durable == (saves[-1].durable if saves else before.durable)
        assert after.durable.epoch >= before.durable.epoch


def test_effects_name_only_connections_that_are_known(walk: Walk) -> None:
    named = 0
    for before, event, _, _, effects in walk.steps:
        known = {before.session, before.asking, before.relieves, getattr(event, "connection", None)}
        for effect in effects:
            if (number := getattr(effect, "connection", None)) is not None:
                named += 1
                assert number in known, (before.state, event, effect)
        closed = [e.connection for e in effects if isinstance(e, ef.Close | ef.Refuse)]
        assert len(closed) == len(set(closed)), (before.state, event, effects)
    assert named > 1000


def test_a_closed_connection_is_forgotten(walk: Walk) -> None:
    for before, event, _, after, effects in walk.steps:
        for effect in effects:
            if isinstance(effect, ef.Close | ef.Refuse):
                held = {after.session, after.asking, after.relieves}
                if effect.connection not in {before.session, before.asking, before.relieves}:
                    assert effect.connection not in held, (before.state, event, effects)


def test_a_deadline_that_was_handled_is_not_due_again(walk: Walk) -> None:
    """The shell never turns in a circle: soon the next deadline lies in the future."""
    for _, _, now, model, _ in walk.steps:
        for _ in range(5):
            due = deadline(model)
            if due is None or due > now:
                break
            model, _ = transition(model, ev.TimePassed(), now)
        else:
            pytest.fail(f"{model.state} turns in a circle at its deadline")


def test_services_are_stopped_on_the_way_out_of_every_primacy(walk: Walk) -> None:
    """Only a stop, and then its completion, lead from a state that serves to one that does not."""
    for before, event, _, after, effects in walk.steps:
        if before.state in SERVING and after.state not in SERVING:
            assert isinstance(event, ev.ServicesStopped | ev.FinalUpdateEnded), before.state
        stopping = {State.DRAINING, State.RENEWING, State.DEMOTING, State.YIELDING}
        if after.state in stopping and before.state is not after.state:
            assert ef.StopServices() in effects


def test_a_primacy_is_remembered_as_long_as_it_is_held(walk: Walk) -> None:
    """R5: what was begun and not given back is resumed after a crash."""
    for _, _, _, after, _ in walk.steps:
        if after.state in HOLDING:
            assert after.durable.held
        if after.state in (State.SECONDARY, State.RELEASED, State.STOPPED) and after.serial:
            assert not after.durable.held or after.state is State.STOPPED


def test_an_exit_is_the_last_effect(walk: Walk) -> None:
    for before, _, _, after, effects in walk.steps:
        exits = [effect for effect in effects if isinstance(effect, ef.Exit)]
        left = after.state is State.STOPPED and before.state is not State.STOPPED
        assert len(exits) == 1 if left else len(exits) <= 1
        assert not exits or effects[-1] == exits[0]
