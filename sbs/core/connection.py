"""One conversation of two nodes without input or output: bytes in, messages out, and back.

The rules:

1. What a side may send is decided by its state in :data:`TRANSITIONS`, the only place that says
   so. The writer asks the table about itself before it sends, the reader asks the same table
   about the peer. Both sides' states are followed at both ends.
2. A message may *allow* the other side more (:data:`ANSWERS`); it never forbids what was legal
   until then, because that may be on its way already. So what was legal when it was sent is
   legal when it arrives, however the messages cross; a test walks through all crossings.
3. An update is everything from Begin to its verdict. There is one at a time, and each Begin has
   exactly one verdict: Committed, or Failed, which is also the answer to Abandon. After an early
   Failed the leader still ends the update, by Commit or Abandon, and gets no second verdict.
4. Refused is legal in every state and is its sender's last message.
5. The first error is final: every later call raises it again, except that one Refused may still
   be sent to say why. Of data with an error in it no message is handed out, as if the line had
   been cut before them.
6. The end of the stream is clean only between frames.

The phases, with ``!`` for what the side sends and ``?`` for what it receives. Refused is legal
everywhere, Heartbeat from *following* on; neither is drawn::

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
           |   STAGING -----> !Failed ----+       |   UPDATING (!Pack !Chunk) --+ |
           |     | ?Commit | ?Abandon     |       |     | !Commit               | |
           |     |         |              |       |     | !Abandon         ?Failed|
           |     |     GIVEN_UP > !Failed +       |     |                       | |
           |   STAGED                             |   AWAITING_VERDICT          | |
           |     | !Committed !Failed             |     | ?Committed ?Failed    v |
           +-----+                                +-----+              FAILED_EARLY
                                                          !Commit !Abandon back to READY

Instead of listing, a follower that cannot take the leader's folders says Failed; then both are
DECLINED, and nothing is replicated while the session stands. Released may be sent from LEADING,
AWAITING_LISTING, DECLINED, READY and AWAITING_VERDICT, and ends the
leader's updates (RELEASED). It takes the follower to the state of the same name with ``OFFERED``,
where it finishes what it owes and may then answer Taken. A Hello without a claim makes its sender
a visitor (VISITING), which may send nothing more than Refused.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, TypeAlias

from sbs.core.codec import NUMBERS, decode, decode_versions, encode
from sbs.core.frames import GREETING_LIMITS, PREAMBLE, SESSION_LIMITS, Frame, FrameDecoder
from sbs.core.messages import (
    Abandon,
    Begin,
    Chunk,
    Commit,
    Committed,
    Failed,
    Folders,
    Follow,
    Heartbeat,
    Hello,
    Listing,
    Message,
    Pack,
    Refused,
    Released,
    Taken,
    Welcome,
)
from sbs.errors import LocalProtocolError, ProtocolError, RemoteProtocolError, VersionError


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
    S.LISTING: {Listing: S.LISTING, Mark.LAST_LISTING: S.CURRENT, Failed: S.DECLINED},
    S.DECLINED: {},
    S.CURRENT: {},
    S.STAGING: {Failed: S.CURRENT},
    S.STAGED: {Committed: S.CURRENT, Failed: S.CURRENT},
    S.GIVEN_UP: {Failed: S.CURRENT},
    S.OFFERED_LISTING: {
        Listing: S.OFFERED_LISTING,
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
    S.SILENT: {Hello: S.GREETED, Mark.VISIT: S.VISITING},
    S.VISITING: {},
    S.GREETED: {},
    S.ASKED: {Welcome: S.LEADING},
    S.LEADING: {Folders: S.AWAITING_LISTING, Released: S.RELEASED},
    S.AWAITING_LISTING: {Released: S.RELEASED},
    S.DECLINED: {Released: S.RELEASED},
    S.READY: {Begin: S.UPDATING, Released: S.RELEASED},
    S.UPDATING: {
        Pack: S.UPDATING,
        Chunk: S.UPDATING,
        Commit: S.AWAITING_VERDICT,
        Abandon: S.AWAITING_VERDICT,
    },
    S.FAILED_EARLY: {
        Pack: S.FAILED_EARLY,
        Chunk: S.FAILED_EARLY,
        Commit: S.READY,
        Abandon: S.READY,
    },
    S.AWAITING_VERDICT: {Released: S.RELEASED},
    S.RELEASED: {},
    S.REFUSED: {},
}

_BEFORE_FOLLOWING: Final = frozenset(
    {S.SILENT, S.HEARD, S.HELLO_SENT, S.VISITING, S.GREETED, S.REFUSED}
)


def _with_common(
    table: Mapping[State, Mapping[Word, State]],
) -> Mapping[State, Mapping[Word, State]]:
    """Add what is the same in many states: Refused in all, Heartbeat from *following* on."""
    common: dict[State, dict[Word, State]] = {state: {Refused: S.REFUSED} for state in table}
    for state in table.keys() - _BEFORE_FOLLOWING:
        common[state][Heartbeat] = state
    common[S.REFUSED] = {}
    return {state: {**words, **common[state]} for state, words in table.items()}


TRANSITIONS: Final[Mapping[Side, Mapping[State, Mapping[Word, State]]]] = {
    Side.DIALLER: _with_common(_DIALLER),
    Side.ACCEPTOR: _with_common(_ACCEPTOR),
}
"""What a side may send in each of its states, and the state after it. Not listed: illegal."""

ANSWERS: Final[Mapping[Side, Mapping[State, Mapping[Word, State]]]] = {
    Side.DIALLER: {
        S.SILENT: {Hello: S.HEARD},
        S.HELLO_SENT: {Hello: S.GREETED},
        S.FOLLOWING: {Welcome: S.FOLLOWER},
        S.FOLLOWER: {Folders: S.LISTING, Released: S.OFFERED},
        S.LISTING: {Released: S.OFFERED_LISTING},
        S.DECLINED: {Released: S.OFFERED},
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


def _name(word: Word) -> str:
    return word.value if isinstance(word, Mark) else word.__name__


class Connection:
    """One end of a conversation.

    Args:
        side: which end.
        hello: what this side says of itself.
    """

    def __init__(self, side: Side, hello: Hello) -> None:
        self.side = side
        self.hello = hello
        self._states = dict.fromkeys(Side, State.SILENT)
        self._decoder = FrameDecoder(GREETING_LIMITS)
        self._peer: Hello | None = None
        self._version: int | None = None
        self._begun = False  # the preamble was sent
        self._ended = False  # the peer's stream has ended
        self._error: ProtocolError | None = None

    @property
    def state(self) -> State:
        """The state of this side."""
        return self._states[self.side]

    @property
    def peer_state(self) -> State:
        """The state of the other side, as far as it is known here."""
        return self._states[self.side.other]

    @property
    def peer(self) -> Hello | None:
        """What the other side said of itself; ``None`` before that."""
        return self._peer

    @property
    def version(self) -> int | None:
        """The protocol version of the conversation; ``None`` before the peer's Hello."""
        return self._version

    def open(self) -> bytes:
        """The first bytes of this side, to be sent at once by either: preamble and Hello.

        Raises:
            LocalProtocolError: it was open already.
        """
        return self.send(self.hello)

    def send(self, message: Message) -> bytes:
        """The bytes of a message which is legal now; the caller sends all of them, in order.

        Args:
            message: anything but another Hello than this side's own.

        Raises:
            LocalProtocolError: it is illegal now, or larger than a frame may be.
            ProtocolError: the error with which this conversation has ended.
        """
        if not isinstance(message, Refused):
            self._check()
        try:
            if isinstance(message, Hello) and message is not self.hello:
                raise LocalProtocolError("a Hello other than this side's own; open() sends it")
            data = encode(message)
            self._step(self.side, message, LocalProtocolError)
        except ProtocolError as error:
            self._error = self._error or error
            raise
        if self._begun:
            return data
        self._begun = True
        return PREAMBLE + data

    def receive(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """Take the next bytes from the peer.

        Args:
            data: as they came, cut anywhere.

        Returns:
            The messages that are complete now, each of them legal, oldest first.

        Raises:
            RemoteProtocolError: the peer broke the protocol; the text says how.
            VersionError: no protocol version in common.
            LocalProtocolError: the end of the stream was reported before.
            ProtocolError: the error with which this conversation has ended.
        """
        self._check()
        try:
            if self._ended:
                raise LocalProtocolError("bytes after the end of the stream")
            return [self._accept(frame) for frame in self._decoder.feed(data)]
        except ProtocolError as error:
            self._error = error
            raise

    def receive_eof(self) -> None:
        """Take note that the peer's stream has ended.

        Raises:
            RemoteProtocolError: it ended within a frame: what came last is lost.
            ProtocolError: the error with which this conversation has ended.
        """
        self._check()
        self._ended = True
        if self._decoder.inside is not None:
            self._error = RemoteProtocolError(
                f"the connection was cut in the middle of {self._decoder.inside}"
            )
            raise self._error

    def _check(self) -> None:
        if self._error is not None:
            raise type(self._error)(*self._error.args) from self._error

    def _accept(self, frame: Frame) -> Message:
        if self._version is None and frame.type == NUMBERS[Hello]:
            self._version = self._common_version(decode_versions(frame))
        message = decode(frame)
        self._step(self.side.other, message, RemoteProtocolError)
        if isinstance(message, Hello):
            self._peer = message
            self._decoder.limits = SESSION_LIMITS
        return message

    def _common_version(self, theirs: tuple[int, int]) -> int:
        """The highest version of both."""
        (our_low, our_high), (their_low, their_high) = self.hello.versions, theirs
        version = min(our_high, their_high)
        if version < max(our_low, their_low):
            raise VersionError(
                f"no protocol version in common: this side speaks {our_low} to {our_high}, "
                f"the other {their_low} to {their_high}; update the older one"
            )
        return version

    def _step(self, sender: Side, message: Message, error: type[ProtocolError]) -> None:
        """Move both sides' states on by a message, or raise ``error`` if it is illegal."""
        word, state = word_of(message), self._states[sender]
        states = step(self._states, sender, word)
        if states is None:
            legal = ", ".join(map(_name, TRANSITIONS[sender][state])) or "nothing"
            raise error(
                f"the {sender.value} may not send {_name(word)} in state {state.value}; "
                f"allowed: {legal}"
            )
        self._states = states
