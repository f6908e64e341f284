"""The votes that a node has and has given: who may serve, and for how long (B3).

Three voters, this node, the other and the witness, and two votes are needed. A vote is lent, and
every loan is counted so that clocks that differ in speed do not matter:

- who received a vote counts from when it *asked*, which was before the vote was given;
- who gave one keeps still for ``hold_s`` (``sbs.core.lease``) from when it *gave* it: until the
  services of the other are gone, even by the slower clock.

``docs/roles.md``, Votes, tells the same to administrators.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

MAX_ASKED: Final = 16
"""Lease requests without an answer that are remembered: four leases' worth of them."""

MAX_GRANTED: Final = 16
"""Grants remembered, for a role that is released with reference to one."""


@attrs.frozen
class Sent:
    """Something that was sent: its serial number, and when."""

    serial: int
    at: float


@attrs.frozen(kw_only=True)
class Votes:
    """What the role machine knows of votes; times on its clock, in seconds.

    Args:
        peer_until: until when the other node's vote counts for this one.
        witness_until: until when the witness's does.
        asked: lease requests that may still be answered, oldest first.
        asks: how many there were.
        ask_at: when to ask the follower next.
        heard: serial of the newest grant received.
        granted: grants given to the present leader, oldest first.
        hold_until: until when this node keeps still for a grant that it gave, or may have given
            before it was restarted.
        pledged_until: likewise, for a vote by which the other may begin a primacy.
        ballot: the question to the witness under way.
        ballots: how many there were.
        ballot_at: when to ask the witness next.
        term: counts this node's candidacies and primacies: the witness's vote belongs to one.
        replaces: the name at the witness of a primary that is proven not to serve.
    """

    peer_until: float = -math.inf
    witness_until: float = -math.inf
    asked: tuple[Sent, ...] = ()
    asks: int = 0
    ask_at: float | None = None
    heard: int = 0
    granted: tuple[Sent, ...] = ()
    hold_until: float = -math.inf
    pledged_until: float = -math.inf
    ballot: Sent | None = None
    ballots: int = 0
    ballot_at: float | None = None
    term: int = 0
    replaces: str = ""

    @property
    def until(self) -> float:
        """Until when this node and one other voter are two of three."""
        return max(self.peer_until, self.witness_until)

    @property
    def free_at(self) -> float:
        """When this node has kept still for long enough after every vote that it gave."""
        return max(self.hold_until, self.pledged_until)

    # As leader.

    def new_term(self, now: float, *, peer_until: float = -math.inf) -> Votes:
        """A primacy or a candidacy begins; of earlier votes none counts."""
        return attrs.evolve(
            self,
            peer_until=peer_until,
            witness_until=-math.inf,
            asked=(),
            ask_at=None,
            ballot=None,
            ballot_at=now,
            term=self.term + 1,
            replaces="",
        )

    def end_term(self) -> Votes:
        """The primacy or candidacy is over; votes that arrive from now on do not count."""
        return attrs.evolve(
            self,
            peer_until=-math.inf,
            witness_until=-math.inf,
            asked=(),
            ask_at=None,
            ballot=None,
            ballot_at=None,
            replaces="",
        )

    def ask(self, now: float, every_s: float) -> Votes:
        """A lease request is sent to the follower; its serial is :attr:`asks`."""
        sent = Sent(self.asks + 1, now)
        asked = (*self.asked, sent)[-MAX_ASKED:]
        return attrs.evolve(self, asks=sent.serial, asked=asked, ask_at=now + every_s)

    def hear(self, serial: int, lease_s: float) -> Votes:
        """A lease was granted; one that was not asked for, or is answered already, is nothing."""
        asked_at = next((sent.at for sent in self.asked if sent.serial == serial), -math.inf)
        return attrs.evolve(
            self,
            peer_until=max(self.peer_until, asked_at + lease_s),
            asked=tuple(sent for sent in self.asked if sent.serial > serial),
            heard=max(self.heard, serial) if asked_at > -math.inf else self.heard,
        )

    # As follower.

    def follow(self) -> Votes:
        """A session as follower begins: its grants are counted anew."""
        return attrs.evolve(self.end_term(), granted=())

    def grant(self, serial: int, now: float, hold_s: float) -> Votes:
        """This node votes for its leader, and keeps still for ``hold_s``."""
        granted = (*self.granted, Sent(serial, now))[-MAX_GRANTED:]
        hold_until = max(self.hold_until, now + hold_s)
        return attrs.evolve(self, granted=granted, hold_until=hold_until)

    def granted_at(self, serial: int) -> float:
        """When the grant with this serial was given; minus infinity if it is not remembered."""
        return next((sent.at for sent in self.granted if sent.serial == serial), -math.inf)

    def pledge(self, now: float, hold_s: float) -> Votes:
        """This node gave a vote by which the other may begin a primacy."""
        return attrs.evolve(self, pledged_until=max(self.pledged_until, now + hold_s))

    def absolve(self, replaces: str) -> Votes:
        """The other is proven not to serve: nothing need be waited for, and its place is free."""
        return attrs.evolve(self, hold_until=-math.inf, pledged_until=-math.inf, replaces=replaces)

    # The witness.

    def question(self, now: float) -> Votes:
        """The witness is asked; the serial of the question is :attr:`ballots`."""
        sent = Sent(self.ballots + 1, now)
        return attrs.evolve(self, ballots=sent.serial, ballot=sent, ballot_at=None)

    def answered(self, *, granted: bool, lease_s: float, every_s: float, now: float) -> Votes:
        """The witness answered the question under way."""
        sent_at = now if self.ballot is None else self.ballot.at
        return attrs.evolve(
            self,
            ballot=None,
            ballot_at=max(now, sent_at + every_s),
            witness_until=sent_at + lease_s if granted else -math.inf,
            replaces="" if granted else self.replaces,
        )

    def unanswered(self, *, every_s: float, now: float) -> Votes:
        """The question under way got no answer; the vote before it lasts as long as it lasts."""
        return attrs.evolve(self, ballot=None, ballot_at=now + every_s)
