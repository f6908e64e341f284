"""What a node does while it is paired: which file it changes when, so that both stay known.

In this order each node can be killed at any moment, and the two still know each other:

1. It learns what the other is known by, and will be; it accepts both, durably, and says Stored.
2. When the other has said Stored, it puts its own new identity in place, if it makes one, durably,
   and says Done.
3. When the other has said Done, it accepts the new one alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, assert_never

import attrs

from sbs.adapters.transports.identity import Certificate
from sbs.adapters.transports.pairing import (
    REASONS,
    Event,
    Identities,
    Pairing,
    Reason,
    Side,
    Word,
)
from sbs.errors import PairingError, SbsError
from sbs.runtime.pairing.files import NewIdentity, PairFiles

SETTLE_S: Final = 1.0
"""From the new identity in its place to Done: a connection that was begun with the former one has
been proven by then, and the former one may be refused."""


@attrs.frozen(kw_only=True)
class Party:
    """A node that takes part.

    Args:
        files: its two files.
        own: what it is known by when this begins.
        renewal: what it shall be known by afterwards; ``None``: the same.
    """

    files: PairFiles
    own: Certificate
    renewal: NewIdentity | None = None

    @classmethod
    def of(cls, files: PairFiles, name: str, now: dt.datetime, *, renew: bool) -> Party:
        """This node, which is given an identity first if it has none.

        Args:
            files: its two files.
            name: of the node.
            now: the time, with its zone.
            renew: an identity that it has already shall give way to a new one.

        Raises:
            ConfigError: the identity cannot be used.
            PairingError: a new one cannot be written, or others choose where.
        """
        files.check_places()
        own = files.own()
        if own is None:
            new = NewIdentity.make(name, now)
            files.put_identity(new)
            return cls(files=files, own=new.certificate)
        return cls(files=files, own=own, renewal=NewIdentity.make(name, now) if renew else None)

    @property
    def identities(self) -> Identities:
        """As it tells them."""
        following = self.own if self.renewal is None else self.renewal.certificate
        return Identities(current=self.own, following=following)


@attrs.frozen(kw_only=True)
class Paired:
    """How it ended well.

    Args:
        own: what this node is known by now.
        peer: what the other node is known by now.
        leftover: what is still accepted from it, in words for people; empty: nothing else.
    """

    own: Certificate
    peer: Certificate
    leftover: str = ""


class Meeting:
    """A conversation of this node with another, and what becomes of its files.

    Args:
        side: which end.
        code: its digits.
        party: this node.
        now: the time, with its zone: a certificate that has expired is not accepted.
    """

    def __init__(self, side: Side, code: str, party: Party, now: dt.datetime) -> None:
        self.pairing: Pairing = Pairing(side, code, party.identities)
        self._party = party
        self._now = now
        self._peer: Identities | None = None
        self._is_known = False
        self._has_renewed = False
        self._has_dropped = False
        self._failure = ""

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the other node, and act; what is to be sent lies ready then.

        Args:
            data: empty where its stream has ended.

        Raises:
            SbsError: this ends here; :meth:`ended` makes of it what to say.
        """
        for event in self.pairing.receive(data):
            self._act(event)

    def pause_s(self) -> float:
        """How long to wait before what lies ready is sent, in seconds; once, then 0."""
        has_renewed, self._has_renewed = self._has_renewed, False
        return SETTLE_S if has_renewed else 0.0

    def ended(self, error: SbsError) -> Paired:
        """What an end before the end means.

        Args:
            error: why it is one.

        Returns:
            the result, if each node knows the other for all that.

        Raises:
            PairingError: what went wrong, what is true of both nodes, and what to do.
        """
        if self._is_known:
            self._failure = str(error)
            return self.result()
        if self._peer is None:
            standing = "nothing was changed on this node"
        else:
            name = self._peer.following.name
            standing = (
                f"this node accepts {name} now; whether {name} accepts this node is not known: run "
                "sbs pair again on both nodes"
            )
        kind = type(error) if isinstance(error, PairingError) else PairingError
        raise kind(f"{error}\n{standing}") from error

    def result(self) -> Paired:
        """Both know each other; more was not needed for that."""
        assert self._peer is not None  # noqa: S101 - for the type checker
        peer, leftover = self._peer, ""
        if not self._has_dropped and peer.current != peer.following:
            leftover = (
                f"the last step failed ({self._failure}), so the former certificate of "
                f"{peer.following.name} is accepted as well, until sbs pair is run again"
            )
        return Paired(own=self._party.identities.following, peer=peer.following, leftover=leftover)

    def _act(self, event: Event) -> None:
        match event:
            case Identities():
                self._check(event)
                with self._refusing(Reason.STORAGE):
                    self._party.files.pin((event.following, event.current))
                self._peer = event
                self.pairing.say(Word.STORED)
            case Word.STORED:
                if self._party.renewal is not None:
                    with self._refusing(Reason.STORAGE):
                        self._party.files.put_identity(self._party.renewal)
                    self._has_renewed = True
                self._is_known = True
                self.pairing.say(Word.DONE)
            case Word.DONE:
                assert self._peer is not None  # noqa: S101 - for the type checker
                self._party.files.pin((self._peer.following,))
                self._has_dropped = True
            case _:
                assert_never(event)

    def _check(self, peer: Identities) -> None:
        if peer.following.der == self._party.identities.following.der:
            with self._refusing(Reason.SAME_IDENTITY):
                raise PairingError(REASONS[Reason.SAME_IDENTITY])
        if peer.following.expires_at <= self._now:
            with self._refusing(Reason.CERTIFICATE):
                raise PairingError(
                    f"the certificate of {peer.following.name} has expired, by the clock of this "
                    f"node, on {peer.following.expires_at:%Y-%m-%d}; set the clock, or run sbs "
                    "pair --renew there"
                )

    @contextmanager
    def _refusing(self, reason: Reason) -> Generator[None]:
        """Tell the other side as well that what follows has failed."""
        try:
            yield
        except PairingError:
            self.pairing.refuse(reason)
            raise
