"""What of a model tells two of them apart: all that they may behave differently by, no more.

Time is relative: every step is taken at time 0, and the times within a model are moved when time
passes. What is left out (:func:`normalise`), and why two models that differ only in that behave
alike:

- A time that has passed is only ever compared with the present; how long ago it was is not asked.
  Times that a state does not read, and that are set anew on the way to any state that does, are
  dropped: ``probe_until`` outside PROBING, ``taken_until`` outside RELEASED, and so on.
- Serial numbers of saves and of questions to the witness are only compared with the newest: they
  count from that. Those of lease requests are only compared with each other, and the leader, its
  follower and the messages between them are renumbered at once.
- Lease requests of a session that is over are answered by nobody: the next begins without any.
- Of the peer's claim only its existence, identity, mode, pause and ``services_die`` are read later.
- Whether a takeover is under a grant decides nothing but what a licence lets start (``granted``).
- Takeovers within an hour are counted, and no exploration lasts an hour.

Epochs, generations, terms and pauses keep their numbers: they grow with each primacy or command, of
which ``scene.MAX_PRIMACIES`` and the bounds of a search allow few on a path.

``tests/exploration/test_normal_form.py`` walks with and without all this, and compares.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeVar

import attrs

from sbs.core import events as ev
from sbs.core.claim import Claim, Policy, Role
from sbs.core.effects import Durable
from sbs.core.epoch import NO_EPOCH
from sbs.core.history import History
from sbs.core.role import Model, State
from sbs.core.role.model import BALLOTING, VOTED
from sbs.core.role.votes import Sent, Votes

T = TypeVar("T")

NEWEST_ASK: Final = 40
"""The number that a leader's newest lease request has: more than are remembered lie below."""

_DIGITS: Final = 6
"""Times are multiples of microseconds: equal sums are equal numbers."""


def relative(model: Model) -> Model:
    """The same model with serial numbers that count from the newest."""
    votes = model.votes
    ahead = votes.asks - NEWEST_ASK
    votes = attrs.evolve(
        votes,
        asks=NEWEST_ASK,
        asked=tuple(Sent(sent.serial - ahead, sent.at) for sent in votes.asked),
        heard=max(1, votes.heard - ahead) if votes.heard else 0,
        ballots=0,
        ballot=None if votes.ballot is None else Sent(0, votes.ballot.at),
    )
    return attrs.evolve(model, serial=0, votes=votes)


def renumbered(value: T, asks: int) -> T:
    """A follower's model, or a message, after its leader has sent so many more lease requests."""
    match value:
        case Model():
            granted = tuple(Sent(sent.serial - asks, sent.at) for sent in value.votes.granted)
            return attrs.evolve(value, votes=attrs.evolve(value.votes, granted=granted))
        case ev.LeaseAsked() | ev.LeaseGranted():
            return attrs.evolve(value, serial=value.serial - asks)
        case ev.RoleReleased() if value.granted:
            return attrs.evolve(value, granted=max(1, value.granted - asks))
        case _:
            return value


def shifted(model: Model, seconds: float) -> Model:
    """The same model when so much time has passed."""

    def earlier(at: float) -> float:
        return round(at - seconds, _DIGITS)

    def maybe(at: float | None) -> float | None:
        return None if at is None else earlier(at)

    votes = model.votes
    return attrs.evolve(
        model,
        welcomed_at=earlier(model.welcomed_at),
        asked_until=maybe(model.asked_until),
        dial_at=maybe(model.dial_at),
        heard_at=earlier(model.heard_at),
        probe_until=maybe(model.probe_until),
        failback_at=maybe(model.failback_at),
        taken_until=maybe(model.taken_until),
        fence_at=maybe(model.fence_at),
        takeovers=tuple(earlier(at) for at in model.takeovers),
        votes=attrs.evolve(
            votes,
            peer_until=earlier(votes.peer_until),
            witness_until=earlier(votes.witness_until),
            asked=_sent_earlier(votes.asked, earlier),
            ask_at=maybe(votes.ask_at),
            granted=_sent_earlier(votes.granted, earlier),
            hold_until=earlier(votes.hold_until),
            pledged_until=earlier(votes.pledged_until),
            ballot=None
            if votes.ballot is None
            else Sent(votes.ballot.serial, earlier(votes.ballot.at)),
            ballot_at=maybe(votes.ballot_at),
        ),
    )


def _sent_earlier(sent: tuple[Sent, ...], earlier: Callable[[float], float]) -> tuple[Sent, ...]:
    return tuple(Sent(each.serial, earlier(each.at)) for each in sent)


def normalise(model: Model) -> Model:
    """The model without what cannot matter any more; the present is 0."""
    settings, state = model.settings, model.state
    down_s, beat_s = settings.down_interval_s, settings.heartbeat_interval_s
    heard_at = 0.0
    if model.session is not None or state is State.SECONDARY:
        heard_at = max(model.heard_at, -down_s)
    welcomed_at = -math.inf
    if model.session is not None and model.welcomed_at + beat_s > 0:
        welcomed_at = model.welcomed_at
    leading = state in (State.STARTING, State.PRIMARY)
    return attrs.evolve(
        model,
        durable=ungranted(model.durable),
        peer=None if model.peer is None else _gist(model.peer),
        welcomed_at=welcomed_at,
        heard_at=heard_at,
        asked_until=_not_past(model.asked_until),
        dial_at=_not_past(model.dial_at),
        probe_until=_not_past(model.probe_until) if state is State.PROBING else None,
        failback_at=_not_past(model.failback_at) if leading else None,
        taken_until=_not_past(model.taken_until) if state is State.RELEASED else None,
        fence_at=_not_past(model.fence_at),
        silent=model.silent and state is State.CANDIDATE,
        takeovers=tuple(0.0 for _ in model.takeovers),
        votes=_normal_votes(model),
    )


def ungranted(durable: Durable) -> Durable:
    """What is durable, as far as roles are concerned."""
    return attrs.evolve(durable, granted=False) if durable.granted else durable


def _gist(peer: Claim) -> Claim:
    return attrs.evolve(
        peer,
        slot=0,
        role=Role.STOPPED,
        epoch=NO_EPOCH,
        history=History(),
        held=False,
        on_silence=False,
    )


def _not_past(at: float | None) -> float | None:
    return None if at is None else max(at, 0.0)


def _normal_votes(model: Model) -> Votes:
    votes, state, settings = model.votes, model.state, model.settings
    quorum = settings.policy is Policy.QUORUM
    led = model.session is not None
    asking = quorum and state in VOTED and led
    return attrs.evolve(
        votes,
        peer_until=_vote_until(votes.peer_until) if quorum else -math.inf,
        witness_until=_vote_until(votes.witness_until),
        asked=tuple(_unanswered(sent, settings.lease_s) for sent in votes.asked if led),
        ask_at=_not_past(votes.ask_at) if asking else None,
        granted=tuple(sent for sent in votes.granted if sent.at + settings.vote_s > 0),
        hold_until=votes.hold_until if votes.hold_until > 0 else -math.inf,
        pledged_until=votes.pledged_until if votes.pledged_until > 0 else -math.inf,
        ballot=None if votes.ballot is None else _unanswered(votes.ballot, settings.lease_s),
        ballot_at=_not_past(votes.ballot_at) if state in BALLOTING else None,
    )


def _unanswered(sent: Sent, lease_s: float) -> Sent:
    """An old question brings no vote any more, but its answer is still the newest one heard."""
    return Sent(sent.serial, max(sent.at, -lease_s))


def _vote_until(at: float) -> float:
    """A vote that has run out stays one that was had: the witness is told when the term ends."""
    return at if at == -math.inf else max(at, 0.0)
