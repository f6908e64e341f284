"""Who may say what when, in a conversation of two nodes: tables, and a step by them.

The phases, with ``!`` for what the side sends and ``?`` for what it receives. Not drawn: Refused,
legal everywhere; Chunk and Patch, legal where Pack is, and Fragment, where Listing is; Heartbeat,
from *following* on; and what changes no state in a session, from Welcome to Released: AskLease,
Will, Serving, Audit of the leader, GrantLease, Findings, Audited, AskRole of the follower, SetPause
of both::

    phase      dialler = follower                     acceptor = leader

    opening    SILENT                                 SILENT
                 | !Hello ?Hello, in any order          | !Hello
    greeted    GREETED                                GREETED
                 | !Follow                              | ?Follow
    following  FOLLOWING                              ASKED
                 | ?Welcome                             | !Welcome
    session    FOLLOWER                               LEADING
                 | ?Folders                             | !Folders
               LISTING (!Listing)                     AWAITING_LISTING
                 | !Listing, the last                   | ?Listing, the last
           +-> CURRENT <------------------+       +-> READY <---------------------+
           |     | ?Begin                 |       |     | !Begin                  |
           |   STAGING -----> !Failed ----+       |   UPDATING (!Pack, ...) ----+ |
           |     | ?Commit | ?Abandon     |       |     | !Commit               | |
           |     |         |              |       |     | !Abandon         ?Failed|
           |     |     GIVEN_UP > !Failed +       |     |                       | |
           |   STAGED                             |   AWAITING_VERDICT          | |
           |     | !Committed !Failed             |     | ?Committed ?Failed    v |
           +-----+                                +-----+              FAILED_EARLY
                                                          !Commit !Abandon back to READY

Instead of listing, a follower that cannot take the leader's folders says Failed; then both are
DECLINED, and nothing is replicated until the leader offers them again and they are listed. Released
may be sent from LEADING, AWAITING_LISTING, DECLINED, READY and AWAITING_VERDICT, and ends the
leader's updates (RELEASED). It takes the follower to the state of the same name with ``OFFERED``,
where it finishes what it owes and may then answer Taken. A Hello without a claim makes its sender
a visitor (VISITING), which may send nothing more than Refused. Where SBS is dead its fencer accepts
instead, and says nothing but Fenced.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, TypeAlias

from sbs.core.messages import (
    Abandon,
    AskLease,
    AskRole,
    Audit,
    Audited,
    Begin,
    Chunk,
    Commit,
    Committed,
    Failed,
    Findings,
    Folders,
    Follow,
    Fragment,
    GrantLease,
    Heartbeat,
    Hello,
    Listing,
    Message,
    Pack,
    Patch,
    Refused,
    Released,
    Serving,
    SetPause,
    Taken,
    Welcome,
)
from sbs.core.testament import Fenced, Will


class Side(enum.Enum):
    """Who opened the connection."""

    DIALLER = "dialler"
    ACCEPTOR = "acceptor"

    @property
    def other(self) -> Side:
        """The side at the other end."""
        return Side.ACCEPTOR if self is Side.DIALLER else Side.DIALLER


class State(enum.Enum):
    """What a side has said and been allowed so far; see the drawing above."""

    SILENT = "silent"
    HEARD = "heard"
    """The dialler has the peer's Hello, but has not sent its own."""
    HELLO_SENT = "hello-sent"
    """The dialler has sent its Hello, but does not have the peer's."""
    VISITING = "visiting"
    GREETED = "greeted"
    REFUSED = "refused"
    FENCED = "fenced"
    FOLLOWING = "following"
    FOLLOWER = "follower"
    LISTING = "listing"
    DECLINED = "declined"
    """The follower cannot take the leader's folders: nothing is replicated, roles go on."""
    CURRENT = "current"
    STAGING = "staging"
    STAGED = "staged"
    GIVEN_UP = "given-up"
    OFFERED_LISTING = "offered-listing"
    OFFERED_STAGED = "offered-staged"
    OFFERED_GIVEN_UP = "offered-given-up"
    OFFERED = "offered"
    TAKEN = "taken"
    ASKED = "asked"
    LEADING = "leading"
    AWAITING_LISTING = "awaiting-listing"
    READY = "ready"
    UPDATING = "updating"
    FAILED_EARLY = "failed-early"
    AWAITING_VERDICT = "awaiting-verdict"
    RELEASED = "released"


class Mark(enum.Enum):
    """Messages whose content makes them another word of the protocol than their class."""

    VISIT = "Hello without a claim"
    LAST_LISTING = "the last Listing"


Word: TypeAlias = type[Message] | Mark

S: TypeAlias = State  # short, for the tables alone

_DIALLER: Final[Mapping[State, Mapping[Word, State]]] = {
    S.SILENT: {Hello: S.HELLO_SENT, Mark.VISIT: S.VISITING},
    S.HEARD: {Hello: S.GREETED, Mark.VISIT: S.VISITING},
    S.HELLO_SENT: {},
    S.VISITING: {},
    S.GREETED: {Follow: S.FOLLOWING},
    S.FOLLOWING: {},
    S.FOLLOWER: {},
    S.LISTING: {
        Listing: S.LISTING,
        Fragment: S.LISTING,
        Mark.LAST_LISTING: S.CURRENT,
        Failed: S.DECLINED,
    },
    S.DECLINED: {},
    S.CURRENT: {},
    S.STAGING: {Failed: S.CURRENT},
    S.STAGED: {Committed: S.CURRENT, Failed: S.CURRENT},
    S.GIVEN_UP: {Failed: S.CURRENT},
    S.OFFERED_LISTING: {
        Listing: S.OFFERED_LISTING,
        Fragment: S.OFFERED_LISTING,
        Mark.LAST_LISTING: S.OFFERED,
        Failed: S.OFFERED,
        Taken: S.TAKEN,
    },
    S.OFFERED_STAGED: {Committed: S.OFFERED, Failed: S.OFFERED},
    S.OFFERED_GIVEN_UP: {Failed: S.OFFERED},
    S.OFFERED: {Taken: S.TAKEN},
    S.TAKEN: {},
    S.REFUSED: {},
}

_ACCEPTOR: Final[Mapping[State, Mapping[Word, State]]] = {
    S.SILENT: {Hello: S.GREETED, Mark.VISIT: S.VISITING, Fenced: S.FENCED},
    S.FENCED: {},
    S.VISITING: {},
    S.GREETED: {},
    S.ASKED: {Welcome: S.LEADING},
    S.LEADING: {Folders: S.AWAITING_LISTING, Released: S.RELEASED},
    S.AWAITING_LISTING: {Released: S.RELEASED},
    S.DECLINED: {Folders: S.AWAITING_LISTING, Released: S.RELEASED},
    S.READY: {Begin: S.UPDATING, Released: S.RELEASED},
    S.UPDATING: {
        Pack: S.UPDATING,
        Chunk: S.UPDATING,
        Patch: S.UPDATING,
        Commit: S.AWAITING_VERDICT,
        Abandon: S.AWAITING_VERDICT,
    },
    S.FAILED_EARLY: {
        Pack: S.FAILED_EARLY,
        Chunk: S.FAILED_EARLY,
        Patch: S.FAILED_EARLY,
        Commit: S.READY,
        Abandon: S.READY,
    },
    S.AWAITING_VERDICT: {Released: S.RELEASED},
    S.RELEASED: {},
    S.REFUSED: {},
}

_BEFORE_FOLLOWING: Final = frozenset(
    {S.SILENT, S.HEARD, S.HELLO_SENT, S.VISITING, S.GREETED, S.REFUSED, S.FENCED}
)

_OUT_OF_SESSION: Final = _BEFORE_FOLLOWING | {S.FOLLOWING, S.ASKED, S.RELEASED}


IN_SESSION: Final[Mapping[Side, tuple[Word, ...]]] = {
    Side.DIALLER: (GrantLease, Findings, Audited, AskRole, SetPause),
    Side.ACCEPTOR: (AskLease, Will, Serving, Audit, SetPause),
}
"""What a side may say at any time between Welcome and Released; it changes no state."""


def _with_common(
    side: Side, table: Mapping[State, Mapping[Word, State]]
) -> Mapping[State, Mapping[Word, State]]:
    """Add what is the same in many states and changes none of them, except Refused."""
    common: dict[State, dict[Word, State]] = {state: {Refused: S.REFUSED} for state in table}
    for state in table.keys() - _BEFORE_FOLLOWING:
        common[state][Heartbeat] = state
    for state in table.keys() - _OUT_OF_SESSION:
        common[state] |= dict.fromkeys(IN_SESSION[side], state)
    common[S.REFUSED] = {}
    if S.FENCED in table:
        common[S.FENCED] = {}
    return {state: {**words, **common[state]} for state, words in table.items()}


TRANSITIONS: Final[Mapping[Side, Mapping[State, Mapping[Word, State]]]] = {
    Side.DIALLER: _with_common(Side.DIALLER, _DIALLER),
    Side.ACCEPTOR: _with_common(Side.ACCEPTOR, _ACCEPTOR),
}
"""What a side may send in each of its states, and the state after it. Not listed: illegal."""

ANSWERS: Final[Mapping[Side, Mapping[State, Mapping[Word, State]]]] = {
    Side.DIALLER: {
        S.SILENT: {Hello: S.HEARD},
        S.HELLO_SENT: {Hello: S.GREETED},
        S.FOLLOWING: {Welcome: S.FOLLOWER},
        S.FOLLOWER: {Folders: S.LISTING, Released: S.OFFERED},
        S.LISTING: {Released: S.OFFERED_LISTING},
        S.DECLINED: {Folders: S.LISTING, Released: S.OFFERED},
        S.CURRENT: {Begin: S.STAGING, Released: S.OFFERED},
        S.STAGING: {Commit: S.STAGED, Abandon: S.GIVEN_UP},
        S.STAGED: {Released: S.OFFERED_STAGED},
        S.GIVEN_UP: {Released: S.OFFERED_GIVEN_UP},
    },
    Side.ACCEPTOR: {
        S.GREETED: {Follow: S.ASKED},
        S.AWAITING_LISTING: {Mark.LAST_LISTING: S.READY, Failed: S.DECLINED},
        S.UPDATING: {Failed: S.FAILED_EARLY},
        S.AWAITING_VERDICT: {Committed: S.READY, Failed: S.READY},
    },
}
"""The state of a side after a message of the other. Not listed: unchanged."""


def word_of(message: Message) -> Word:
    """The word by which the tables know a message."""
    match message:
        case Hello(claim=None):
            return Mark.VISIT
        case Listing(last=True):
            return Mark.LAST_LISTING
        case _:
            return type(message)


def step(states: Mapping[Side, State], sender: Side, word: Word) -> dict[Side, State] | None:
    """The states of both sides after a word of ``sender``; ``None`` if it is illegal."""
    after = TRANSITIONS[sender][states[sender]].get(word)
    if after is None:
        return None
    other = states[sender.other]
    answer = ANSWERS[sender.other].get(other, {}).get(word, other)
    return {sender: after, sender.other: answer}
