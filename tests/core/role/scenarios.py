"""Golden scenarios of the role machine: ``python -m tests.core.role.scenarios`` prints them.

Each line of ``scenarios.txt`` is an event, the state it leads to and the effects, in order.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Iterator

import attrs

from sbs.core import effects as ef
from sbs.core import events as ev
from sbs.core.claim import Claim, Mode, Pause, Policy, Role
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import DIGEST_BYTES, Generation, History
from sbs.core.messages import Code
from sbs.core.role import Model, Settings, transition
from sbs.core.testament import SECRET_BYTES, Will

NONE = History()
BEGUN = History((Generation(Epoch(1, 1), 0),))
FIRST = BEGUN.append(Generation(Epoch(1, 1), 1, b"1" * DIGEST_BYTES))
MINE = History((Generation(Epoch(1, 0), 0),))
MADE = Generation(Epoch(1, 0), 1, b"2" * DIGEST_BYTES)
ME = Settings(node_id="a" * 32, name="alpha")
BACKUP = attrs.evolve(ME, mode=Mode.BACKUP_ONLY)
NEW = ef.Durable(slot=0, epoch=NO_EPOCH)
PEER = Claim(
    node_id="b" * 32,
    name="beta",
    mode=Mode.SYMMETRIC,
    priority=100,
    slot=1,
    role=Role.PROBING,
    epoch=NO_EPOCH,
    history=NONE,
    services_die=True,
)
LEADER = attrs.evolve(PEER, role=Role.PRIMARY, epoch=Epoch(1, 1), history=BEGUN)
MAIN = attrs.evolve(PEER, mode=Mode.PRIMARY_ONLY)
FOLLOWER = attrs.evolve(PEER, epoch=Epoch(1, 0), history=MINE)
TAKEN = MINE.append(MADE).append(Generation(Epoch(2, 1), 1))
TAKER = attrs.evolve(PEER, role=Role.PRIMARY, epoch=Epoch(2, 1), history=TAKEN)

QUORUM = attrs.evolve(ME, policy=Policy.QUORUM, lease_s=4.0, stop_bound_s=1.0, max_clock_drift=0.0)
PROTECT = attrs.evolve(ME, policy=Policy.PROTECT)
FENCED = attrs.evolve(ME, fence=True)
SECRET = b"s" * SECRET_BYTES
VOTER = attrs.evolve(PEER, policy=Policy.QUORUM)
CAUTIOUS = attrs.evolve(PEER, policy=Policy.PROTECT)
WILL = Will(hashlib.sha256(SECRET).digest(), "b.1")

Script = list[tuple[float, ev.Event]]


def met(number: int, claim: Claim, *, dialled: bool = True) -> ev.Event:
    return ev.PeerMet(connection=number, claim=claim, dialled=dialled)


def follow(number: int, claim: Claim) -> ev.Event:
    return ev.FollowAsked(connection=number, claim=claim, epoch=claim.epoch, opened_at=0.0)


def welcome(number: int) -> ev.Event:
    return ev.Welcomed(connection=number, epoch=Epoch(1, 1), history=BEGUN)


ALONE: Script = [
    (0.0, ev.Started()),
    (0.01, ev.DialFailed(refused=True)),
    (0.02, ev.Saved(1)),
    (0.03, ev.ServicesStarted(("app",))),
]
FOLLOWING: Script = [
    (0.0, ev.Started()),
    (0.01, met(1, LEADER)),
    (0.02, welcome(1)),
    (0.03, ev.GenerationHeld(FIRST, ("app",))),
]
LEADING: Script = [
    *ALONE,
    (1.0, met(1, FOLLOWER, dialled=False)),
    (1.01, follow(1, FOLLOWER)),
    (1.02, ev.GenerationProposed(MADE)),
    (1.03, ev.GenerationAcknowledged(MADE)),
]
HANDING: Script = [
    (2.1, ev.ServicesStopped()),
    (2.2, ev.FinalUpdateEnded(done=True)),
    (2.3, ev.Saved(4)),
]


def released(*, granted: int = 0, leaving: bool = False) -> ev.Event:
    return ev.RoleReleased(
        connection=1, epoch=Epoch(1, 1), generation=FIRST.tip, granted=granted, leaving=leaving
    )


def vote(serial: int, *, granted: bool = True, holder: str = "", error: str = "") -> ev.Event:
    return ev.WitnessAnswered(serial=serial, granted=granted, holder=holder, error=error)


def asks(serial: int, epoch: Epoch = LEADER.epoch, number: int = 1) -> ev.Event:
    return ev.LeaseAsked(connection=number, epoch=epoch, serial=serial, hold_s=5.25)


def following(policy: Policy) -> Script:
    leader = attrs.evolve(LEADER, policy=policy)
    return [
        (0.0, ev.Started()),
        (0.01, met(1, leader)),
        (0.02, welcome(1)),
        (0.03, ev.WillTold(1, WILL)),
        (0.04, ev.GenerationHeld(FIRST, ("app",))),
    ]


VOTING: Script = [*following(Policy.QUORUM), (1.0, asks(1))]
"""A secondary under quorum that has voted."""

LOST: Script = [
    *VOTING,
    (1.1, ev.ConnectionLost(1)),
    (1.6, ev.DialFailed(refused=True)),
    (3.1, ev.TimePassed()),
]
"""Its primary is silent: a candidate."""

ELECTED: Script = [
    (0.0, ev.Started()),
    (0.1, met(1, VOTER, dialled=False)),
    (0.2, ev.FollowAsked(connection=1, claim=VOTER, epoch=NO_EPOCH, opened_at=0.1)),
    (0.3, ev.Saved(1)),
    (0.4, ev.ServicesStarted(("app",))),
    (0.5, ev.TimePassed()),
]
"""A primary under quorum, by the other node's vote; it asks for more."""

SCENARIOS: dict[str, tuple[Settings, ef.Durable, Script]] = {
    "R1: a primary answers": (ME, NEW, FOLLOWING),
    "R1, R3: nobody answers, the host refuses": (ME, NEW, ALONE),
    "R1: nobody answers at all": (
        ME,
        NEW,
        [
            (0.0, ev.Started()),
            (0.5, ev.DialFailed(refused=False)),
            (0.52, ev.TimePassed()),
            (1.02, ev.DialFailed(refused=False)),
            (2.0, ev.TimePassed()),
            (2.01, ev.Saved(1)),
        ],
    ),
    "B1, B62: the peer answers, and does not know this node": (
        ME,
        NEW,
        [
            (0.0, ev.Started()),
            (0.5, ev.DialRejected()),
            (1.0, ev.TimePassed()),
            (1.99, ev.DialRejected()),
            (3.9, ev.TimePassed()),
            (3.99, ev.TimePassed()),
        ],
    ),
    "B1, B62: a primary is lost, answers, and does not know this node any more": (
        ME,
        NEW,
        [
            *FOLLOWING,
            (1.0, ev.ConnectionLost(1)),
            (1.01, ev.DialRejected()),
            (2.0, ev.TimePassed()),
            (2.01, ev.DialRejected()),
            (3.5, ev.TimePassed()),
            (4.01, ev.TimePassed()),
        ],
    ),
    "B3, B62: under quorum a primary is lost that does not know this node any more: votes decide": (
        QUORUM,
        NEW,
        [
            *VOTING,
            (1.1, ev.ConnectionLost(1)),
            (1.5, ev.DialRejected()),
            (8.0, ev.TimePassed()),
            (8.1, ev.DialRejected()),
            (8.2, vote(1)),
        ],
    ),
    "R4, B5: the main server returns, and gets the role back": (
        BACKUP,
        NEW,
        [
            *FOLLOWING,
            (1.0, ev.ConnectionLost(1)),
            (1.01, ev.DialFailed(refused=True)),
            (1.02, ev.Saved(3)),
            (1.03, ev.ServicesStarted(("app",))),
            (5.0, follow(2, attrs.evolve(MAIN, epoch=Epoch(1, 1), history=FIRST))),
            (5.1, ev.GenerationProposed(Generation(Epoch(2, 0), 2, b"3" * DIGEST_BYTES))),
            (5.2, ev.GenerationAcknowledged(Generation(Epoch(2, 0), 2, b"3" * DIGEST_BYTES))),
            (15.1, ev.Heard()),
            (15.2, ev.TimePassed()),
        ],
    ),
    "R5: backup-only waits for a primary": (
        BACKUP,
        NEW,
        [
            (0.0, ev.Started()),
            (0.01, ev.DialFailed(refused=True)),
            (0.51, ev.TimePassed()),
            (0.52, met(1, attrs.evolve(LEADER, mode=Mode.PRIMARY_ONLY))),
            (0.53, welcome(1)),
        ],
    ),
    "R5: backup-only resumes a takeover that was not given back": (
        BACKUP,
        ef.Durable(slot=0, epoch=Epoch(1, 0), history=MINE, held=True, active=("app",)),
        [(0.0, ev.Started()), (0.01, ev.DialFailed(refused=True)), (0.02, ev.Saved(1))],
    ),
    "R6: one mode on both, the other runs": (
        BACKUP,
        NEW,
        [(0.0, ev.Started()), (0.01, met(1, attrs.evolve(LEADER, mode=Mode.BACKUP_ONLY)))],
    ),
    "R6: one mode on both, this one runs": (
        attrs.evolve(ME, mode=Mode.PRIMARY_ONLY),
        NEW,
        [*ALONE, (1.0, met(1, MAIN, dialled=False)), (1.1, follow(1, MAIN))],
    ),
    "R6: backup-only beside symmetric": (BACKUP, NEW, FOLLOWING[:2]),
    "R7: the primary's process dies": (
        ME,
        NEW,
        [
            *FOLLOWING,
            (1.0, ev.ConnectionLost(1)),
            (1.01, ev.DialFailed(refused=True)),
            (1.02, ev.Saved(3)),
            (1.03, ev.ServicesStarted(("app",))),
        ],
    ),
    "R7: the primary is silent": (ME, NEW, [*FOLLOWING, (2.1, ev.TimePassed())]),
    "R7: the primary comes back undecided, and asks": (
        ME,
        NEW,
        [
            *FOLLOWING,
            (1.0, ev.ConnectionLost(1)),
            (1.1, met(2, attrs.evolve(PEER, history=BEGUN), dialled=False)),
            (1.2, follow(2, attrs.evolve(PEER, history=BEGUN))),
        ],
    ),
    "R7: the primary comes back undecided, and dies again": (
        BACKUP,
        NEW,
        [
            *FOLLOWING,
            (1.0, ev.ConnectionLost(1)),
            (1.1, met(2, attrs.evolve(MAIN, history=FIRST), dialled=False)),
            (3.1, ev.TimePassed()),
        ],
    ),
    "B20: the first generation is complete when its primary is already lost": (
        ME,
        NEW,
        [
            *FOLLOWING[:-1],
            (1.0, ev.ConnectionLost(1)),
            (1.1, ev.DialFailed(refused=True)),
            (1.2, ev.GenerationHeld(FIRST, ("app",))),
            (1.3, ev.DialFailed(refused=True)),
        ],
    ),
    "R7: nothing complete was held": (
        ME,
        NEW,
        [*FOLLOWING[:3], (1.0, ev.ConnectionLost(1)), (1.01, ev.DialFailed(refused=True))],
    ),
    "R8: stop": (
        ME,
        NEW,
        [*LEADING, (2.0, ev.StopAsked()), *HANDING, (2.4, ev.RoleTaken(1, Epoch(2, 1)))],
    ),
    "R8: stop, and nobody takes over": (
        ME,
        NEW,
        [*LEADING, (2.0, ev.StopAsked()), *HANDING, (4.3, ev.TimePassed())],
    ),
    "R8: the role is released to this node": (
        ME,
        NEW,
        [
            *FOLLOWING,
            (1.0, ev.RoleReleased(connection=1, epoch=Epoch(1, 1), generation=FIRST.tip)),
            (1.1, ev.Saved(3)),
        ],
    ),
    "R8: the role is released, but not all data is here": (
        ME,
        NEW,
        [*FOLLOWING, (1.0, ev.RoleReleased(connection=1, epoch=Epoch(1, 1), generation=MADE))],
    ),
    "B6: switchover": (
        ME,
        NEW,
        [
            *LEADING,
            (2.0, ev.SwitchoverAsked(7)),
            *HANDING,
            (2.4, ev.RoleTaken(1, Epoch(2, 1))),
            (2.5, met(2, TAKER)),
        ],
    ),
    "B6: switchover, and nobody takes over": (
        ME,
        NEW,
        [*LEADING, (2.0, ev.SwitchoverAsked(7)), *HANDING, (4.3, ev.TimePassed())],
    ),
    "B1: two start at once, this one leads": (
        ME,
        NEW,
        [(0.0, ev.Started()), (0.01, met(1, PEER)), (0.02, follow(2, PEER)), (0.03, ev.Saved(1))],
    ),
    "B1: two start at once, the other leads": (
        ME,
        NEW,
        [(0.0, ev.Started()), (0.01, met(1, attrs.evolve(PEER, priority=200)))],
    ),
    "B1, B2: a frozen primary wakes and finds another": (
        ME,
        NEW,
        [*LEADING, (9.0, met(2, TAKER, dialled=False)), (9.1, ev.ServicesStopped())],
    ),
    "B2: a newer epoch was seen": (
        ME,
        NEW,
        [
            *ALONE,
            (1.0, met(1, attrs.evolve(PEER, epoch=Epoch(5, 1)), dialled=False)),
            (1.1, ev.ServicesStopped()),
            (1.2, ev.Saved(4)),
        ],
    ),
    "R8, B2: a primary that is renewed is stopped, and hands its role to nobody": (
        ME,
        NEW,
        [
            *ALONE,
            (1.0, met(1, attrs.evolve(PEER, epoch=Epoch(5, 1)), dialled=False)),
            (1.05, ev.StopAsked()),
            (1.1, ev.ServicesStopped()),
        ],
    ),
    "B2: a follower knows a newer epoch": (
        ME,
        NEW,
        [*ALONE, (1.0, follow(1, attrs.evolve(FOLLOWER, epoch=Epoch(5, 1))))],
    ),
    "B2: a leader's epoch is over": (
        ME,
        attrs.evolve(NEW, epoch=Epoch(5, 0)),
        [(0.0, ev.Started()), (0.01, met(1, LEADER)), (0.02, welcome(1))],
    ),
    "B2: a crash left a generation newer than the epoch on disk": (
        ME,
        attrs.evolve(NEW, history=FIRST),
        [(0.0, ev.Started()), (0.01, ev.DialFailed(refused=True))],
    ),
    "R7: a refusal that comes late, beside a session": (
        ME,
        NEW,
        [*FOLLOWING, (0.04, ev.DialFailed(refused=True))],
    ),
    "B3: protect waits for a person, who forces it": (
        PROTECT,
        NEW,
        [
            *following(Policy.PROTECT),
            (1.0, ev.ConnectionLost(1)),
            (1.1, ev.DialFailed(refused=True)),
            (2.2, ev.TimePassed()),
            (3.0, ev.TakeoverAsked(5, force=False)),
            (3.1, ev.TakeoverAsked(6, force=True)),
            (3.2, ev.Saved(3)),
            (3.3, ev.ServicesStarted(("app",))),
            (3.4, ev.TakeoverAsked(7, force=True)),
        ],
    ),
    "B3: protect takes the role that is released, and believes the fencer": (
        PROTECT,
        NEW,
        [*following(Policy.PROTECT), (1.0, released())],
    ),
    "B31: protect believes the fencer": (
        PROTECT,
        NEW,
        [
            *following(Policy.PROTECT),
            (1.0, ev.ConnectionLost(1)),
            (1.1, ev.PeerFenced(SECRET)),
        ],
    ),
    "B31: protect waits, then hears the fencer": (
        PROTECT,
        NEW,
        [
            *following(Policy.PROTECT),
            (1.0, ev.ConnectionLost(1)),
            (1.1, ev.DialFailed(refused=False)),
            (3.1, ev.TimePassed()),
            (3.6, ev.TimePassed()),
            (3.7, ev.PeerFenced(SECRET)),
        ],
    ),
    "B31: a wrong secret is no proof": (
        PROTECT,
        NEW,
        [
            *following(Policy.PROTECT),
            (1.0, ev.ConnectionLost(1)),
            (1.1, ev.PeerFenced(b"x" * SECRET_BYTES)),
        ],
    ),
    "B3: a start under protect waits, and a vote that is old does not count": (
        PROTECT,
        NEW,
        [
            (0.0, ev.Started()),
            (0.01, ev.DialFailed(refused=True)),
            (5.0, ev.FollowAsked(connection=1, claim=CAUTIOUS, epoch=NO_EPOCH, opened_at=1.0)),
            (5.1, ev.FollowAsked(connection=2, claim=CAUTIOUS, epoch=NO_EPOCH, opened_at=5.0)),
        ],
    ),
    "B3: different policies make no pair": (
        PROTECT,
        NEW,
        [(0.0, ev.Started()), (0.01, met(1, VOTER))],
    ),
    "B3: nodes that ask for different votes make no pair": (
        attrs.evolve(QUORUM, witness="etcd one"),
        NEW,
        [(0.0, ev.Started()), (0.01, met(1, attrs.evolve(VOTER, witness="etcd two")))],
    ),
    "B3: quorum waits for its own promise and for the witness, then takes over": (
        QUORUM,
        NEW,
        [
            *LOST,
            (3.2, vote(1, granted=False, holder="b.1")),
            (4.2, ev.TimePassed()),
            (4.3, vote(2, granted=False, error="away")),
            (5.3, ev.TimePassed()),
            (5.4, vote(3)),
            (6.3, ev.TimePassed()),
            (6.4, ev.Saved(3)),
            (6.5, ev.ServicesStarted(("app",))),
        ],
    ),
    "B3: the witness agrees after the promise has run out": (
        QUORUM,
        NEW,
        [*LOST, (3.2, vote(0)), (6.4, vote(1))],
    ),
    "B3: a candidate finds the primary again": (
        QUORUM,
        NEW,
        [
            *LOST,
            (3.2, vote(1)),
            (3.3, met(2, attrs.evolve(LEADER, policy=Policy.QUORUM))),
            (6.9, ev.TimePassed()),
            (7.0, ev.Welcomed(connection=2, epoch=Epoch(1, 1), history=FIRST)),
        ],
    ),
    "B3: a candidate is asked to lead, and keeps the witness's vote": (
        QUORUM,
        NEW,
        [
            *LOST,
            (3.2, vote(1)),
            (
                5.5,
                ev.FollowAsked(
                    connection=2,
                    claim=attrs.evolve(VOTER, history=BEGUN),
                    epoch=NO_EPOCH,
                    opened_at=5.4,
                ),
            ),
            (5.6, ev.Saved(3)),
        ],
    ),
    "B3, B31: with the fencer's word only the witness is waited for": (
        QUORUM,
        NEW,
        [*VOTING, (1.1, ev.ConnectionLost(1)), (1.2, ev.PeerFenced(SECRET)), (1.3, vote(1))],
    ),
    "B3, B31: the fencer's word that is heard twice begins one candidacy": (
        QUORUM,
        NEW,
        [
            *VOTING,
            (1.1, ev.ConnectionLost(1)),
            (1.2, ev.PeerFenced(SECRET)),
            (1.7, ev.TimePassed()),
            (1.8, ev.PeerFenced(SECRET)),
            (1.9, vote(1)),
        ],
    ),
    "B3, B31: a candidate hears the fencer, and waits no longer": (
        QUORUM,
        NEW,
        [
            *LOST,
            (3.6, ev.TimePassed()),
            (3.7, ev.PeerFenced(SECRET)),
            (3.8, vote(1, granted=False, holder="b.1")),
            (3.9, vote(2)),
        ],
    ),
    "B3: a role released with a fresh vote is taken at once": (
        QUORUM,
        NEW,
        [*VOTING, (2.0, released(granted=1))],
    ),
    "B3: a role released with an old vote needs the witness": (
        QUORUM,
        NEW,
        [*VOTING, (6.0, released(granted=1)), (6.1, ev.ConnectionLost(1)), (6.2, vote(1))],
    ),
    "B3: a role released by one that leaves needs the witness": (
        QUORUM,
        NEW,
        [*VOTING, (2.0, released(granted=1, leaving=True)), (2.1, vote(1)), (2.2, ev.Saved(3))],
    ),
    "B3: one that waits to be relieved is not asked to lead again": (
        QUORUM,
        NEW,
        [
            *VOTING,
            (2.0, released(granted=1, leaving=True)),
            (2.1, vote(1, granted=False, holder="c.1")),
            (2.9, ev.TimePassed()),
            (3.1, ev.TimePassed()),
            (3.2, vote(2)),
        ],
    ),
    "B3: an older epoch gets no vote, nor does another connection": (
        QUORUM,
        NEW,
        [
            *VOTING,
            (1.1, asks(2, NO_EPOCH)),
            (1.2, asks(3, number=9)),
            (1.3, ev.WillTold(9, WILL)),
            (1.4, ev.PeerServing(9, Epoch(1, 1))),
        ],
    ),
    "B3: a primary is renewed by the other node, then by the witness, then yields": (
        QUORUM,
        NEW,
        [
            *ELECTED,
            (0.6, ev.LeaseGranted(9, 1)),
            (0.7, ev.LeaseGranted(1, 1)),
            (0.8, vote(9)),
            (0.9, vote(1)),
            (1.5, ev.TimePassed()),
            (1.6, vote(2, granted=False, error="away")),
            (2.0, ev.ConnectionLost(1)),
            (2.6, ev.TimePassed()),
            (2.7, vote(3, granted=False, holder="b.2")),
            (4.5, ev.TimePassed()),
            (4.6, vote(3)),
            (4.7, ev.ServicesStopped()),
        ],
    ),
    "B3: a yielding primary that is stopped ends": (
        QUORUM,
        NEW,
        [
            *ELECTED,
            (0.6, ev.ConnectionLost(1)),
            (4.2, ev.TimePassed()),
            (4.3, ev.StopAsked()),
            (4.4, ev.ServicesStopped()),
        ],
    ),
    "B3: the votes run out before the epoch is on disk": (
        QUORUM,
        NEW,
        [*ELECTED[:3], (9.0, ev.Saved(1))],
    ),
    "B3: a forced primary is bound by votes again once it has one": (
        QUORUM,
        NEW,
        [
            (0.0, ev.Started()),
            (0.1, ev.TakeoverAsked(5, force=True)),
            (0.2, ev.Saved(1)),
            (0.3, ev.ServicesStarted(("app",))),
            (0.4, ev.TimePassed()),
            (0.5, vote(1)),
            (4.4, ev.TimePassed()),
        ],
    ),
    "B7: the fence hook fails, then succeeds": (
        FENCED,
        NEW,
        [
            *FOLLOWING,
            (1.0, ev.ConnectionLost(1)),
            (1.1, ev.DialFailed(refused=True)),
            (1.2, ev.DialFailed(refused=False)),
            (1.3, ev.FenceEnded("no answer")),
            (1.4, ev.FenceEnded("late")),
            (3.3, ev.TimePassed()),
            (3.4, ev.TimePassed()),
            (3.5, ev.FenceEnded()),
        ],
    ),
    "B6: paused on the secondary, lost, resumed": (
        ME,
        NEW,
        [
            *FOLLOWING,
            (0.5, ev.PauseAsked(5, on=True)),
            (1.0, ev.ConnectionLost(1)),
            (1.1, ev.DialFailed(refused=True)),
            (2.0, ev.TakeoverAsked(6, force=False)),
            (3.0, ev.PauseAsked(7, on=False)),
        ],
    ),
    "B6: paused by the other node; an older word is nothing": (
        ME,
        NEW,
        [
            *FOLLOWING,
            (0.5, ev.PauseTold(1, Pause(2, on=True))),
            (0.6, ev.PauseTold(1, Pause(1, on=False))),
            (0.7, ev.PauseTold(9, Pause(9, on=False))),
            (0.8, ev.TakeoverAsked(6, force=True)),
        ],
    ),
    "B6: paused while it makes sure that nobody leads": (
        QUORUM,
        NEW,
        [*LOST, (3.2, ev.PauseAsked(5, on=True))],
    ),
    "B6: a pause that a candidate learns from the other node": (
        QUORUM,
        NEW,
        [*LOST, (3.2, met(2, attrs.evolve(VOTER, pause=Pause(1, on=True)))), (6.5, vote(1))],
    ),
    "B6: a candidate learns of a pause, and the time of its promise ends": (
        QUORUM,
        NEW,
        [
            *LOST,
            (3.2, met(2, attrs.evolve(VOTER, pause=Pause(1, on=True)), dialled=False)),
            (6.3, ev.TimePassed()),
        ],
    ),
    "B6: the other node says that the pause is over, and is lost again": (
        QUORUM,
        attrs.evolve(NEW, pause=Pause(1, on=True)),
        [
            *following(Policy.QUORUM),
            (1.0, ev.ConnectionLost(1)),
            (1.1, ev.DialFailed(refused=False)),
            (3.1, ev.TimePassed()),
            (3.2, met(2, attrs.evolve(VOTER, epoch=Epoch(1, 1), pause=Pause(2, on=False)))),
            (3.3, ev.ConnectionLost(2)),
            (3.4, ev.PeerFenced(SECRET)),
        ],
    ),
    "B6, B7: a pause that is learned while the fence hook runs": (
        FENCED,
        NEW,
        [
            *FOLLOWING,
            (1.0, ev.ConnectionLost(1)),
            (1.1, ev.DialFailed(refused=True)),
            (1.2, met(2, attrs.evolve(PEER, pause=Pause(1, on=True)), dialled=False)),
            (1.3, ev.FenceEnded()),
        ],
    ),
    "B6: a paused primary that is stopped keeps its role": (
        ME,
        NEW,
        [
            *LEADING,
            (2.0, ev.PauseAsked(5, on=True)),
            (2.05, ev.StopAsked()),
            (2.1, ev.ServicesStopped()),
            (2.2, ev.FinalUpdateEnded(done=True)),
        ],
    ),
    "B6: a failback waits for the end of a pause": (
        BACKUP,
        attrs.evolve(NEW, pause=Pause(1, on=True), held=True, history=MINE, epoch=Epoch(1, 0)),
        [
            (0.0, ev.Started()),
            (0.01, ev.DialFailed(refused=True)),
            (0.02, ev.Saved(1)),
            (0.03, ev.ServicesStarted(("app",))),
            (1.0, follow(1, attrs.evolve(MAIN, epoch=Epoch(1, 0), history=MINE))),
            (1.1, ev.GenerationProposed(Generation(Epoch(2, 0), 1, b"3" * DIGEST_BYTES))),
            (1.2, ev.GenerationAcknowledged(Generation(Epoch(2, 0), 1, b"3" * DIGEST_BYTES))),
            (2.0, ev.Heard()),
            (11.2, ev.TimePassed()),
        ],
    ),
    "start_alone: the other node may have led since": (
        attrs.evolve(ME, start_alone=False),
        attrs.evolve(NEW, epoch=Epoch(2, 1), history=MINE),
        [(0.0, ev.Started()), (0.01, ev.DialFailed(refused=True))],
    ),
    "start_alone: this node led last": (
        attrs.evolve(ME, start_alone=False),
        attrs.evolve(NEW, epoch=Epoch(1, 0), history=MINE),
        [(0.0, ev.Started()), (0.01, ev.DialFailed(refused=True))],
    ),
    "start_alone: nobody has ever led": (
        attrs.evolve(ME, start_alone=False),
        NEW,
        [(0.0, ev.Started()), (0.01, ev.DialFailed(refused=True))],
    ),
    "Alone with old data": (
        ME,
        attrs.evolve(NEW, epoch=Epoch(2, 1), history=MINE, released=True),
        [(0.0, ev.Started()), (0.01, ev.DialFailed(refused=True))],
    ),
    "Alone with old data, under protect": (
        PROTECT,
        attrs.evolve(NEW, epoch=Epoch(2, 1), history=MINE),
        [(0.0, ev.Started()), (0.01, ev.DialFailed(refused=True))],
    ),
    "B6: switchover is answered when the services run there": (
        ME,
        NEW,
        [
            *LEADING,
            (2.0, ev.SwitchoverAsked(7)),
            *HANDING,
            (2.4, ev.RoleTaken(1, Epoch(2, 1))),
            (2.5, met(2, TAKER)),
            (2.6, ev.Welcomed(connection=2, epoch=Epoch(2, 1), history=TAKEN)),
            (2.7, ev.PeerServing(2, Epoch(2, 1))),
        ],
    ),
    "A follower comes while the services run": (
        ME,
        NEW,
        [*LEADING, (2.0, follow(2, attrs.evolve(FOLLOWER, pause=Pause(1, on=False))))],
    ),
    "One identity twice": (
        ME,
        NEW,
        [(0.0, ev.Started()), (0.01, met(1, attrs.evolve(PEER, node_id=ME.node_id)))],
    ),
    "Turned away": (
        ME,
        NEW,
        [
            (0.0, ev.Started()),
            (0.01, met(1, LEADER)),
            (0.02, ev.TurnedAway(1, Code.BUSY, "not now")),
            (0.52, ev.TimePassed()),
        ],
    ),
}


def render() -> str:
    """All scenarios, played."""
    return "\n".join(line for name in SCENARIOS for line in play(name))


def play(name: str) -> Iterator[str]:
    settings, durable, script = SCENARIOS[name]
    yield f"# {name}"
    model = Model(settings=settings, durable=durable)
    for now, event in script:
        model, effects = transition(model, event, now)
        yield f"{now:6.2f}  {shown_event(event)} -> {model.state.name}"
        yield from (f"            {line}" for line in shown_effects(effects))
    yield ""


def shown_effects(effects: tuple[ef.Effect, ...]) -> Iterator[str]:
    """Each effect, but alarms that end together in one line."""
    for clearing, group in itertools.groupby(effects, lambda e: isinstance(e, ef.ClearAlarm)):
        if clearing:
            yield " ".join(["ClearAlarm", *(e.alarm.name for e in group)])  # type: ignore[union-attr]
        else:
            yield from map(shown_effect, group)


def shown_event(event: ev.Event) -> str:
    match event:
        case ev.PeerMet(connection=number, claim=claim, dialled=dialled):
            way = "dialled" if dialled else "accepted"
            return f"PeerMet {number} {way}: {shown_claim(claim)}"
        case ev.FollowAsked(connection=number, claim=claim):
            return f"FollowAsked {number}: {shown_claim(claim)}"
        case ev.GenerationHeld(history=history, active=active):
            return f"GenerationHeld {history.tip} with {' '.join(active)}"
        case ev.Welcomed(connection=number, epoch=epoch):
            return f"Welcomed {number} epoch {epoch}"
        case _:
            return shown(event)


def shown_claim(claim: Claim) -> str:
    return f"{claim.role.value} {claim.mode.value}, epoch {claim.epoch}, holds {claim.history.tip}"


def shown_effect(effect: ef.Effect) -> str:
    match effect:
        case ef.Save(serial, durable):
            held = "held" if durable.held else "not held"
            held += ", granted" if durable.held and durable.granted else ""
            silence = ", on silence" if durable.on_silence else ""
            return f"Save {serial}: epoch {durable.epoch}, {durable.history.tip}, {held}{silence}"
        case ef.SendWelcome(number, epoch) | ef.TakeUpdates(number, epoch):
            return f"{type(effect).__name__} {number} epoch {epoch}"
        case _:
            return shown(effect)


def shown(value: ev.Event | ef.Effect) -> str:
    fields = attrs.asdict(value, recurse=False).values()
    words = [getattr(field, "name", None) or str(field) for field in fields if field != ""]
    return " ".join([type(value).__name__, *words])


if __name__ == "__main__":
    sys.stdout.write(render())
