"""One conversation of two nodes without input or output: bytes in, messages out, and back.

The rules:

1. What a side may send is decided by its state, in a table of :mod:`sbs.core.legality` and
   nowhere else. The writer asks the table about itself before it sends, the reader asks the same
   table about the peer. Both sides' states are followed at both ends.
2. A message may *allow* the other side more; it never forbids what was legal until then, because
   that may be on its way already. So what was legal when it was sent is legal when it arrives,
   however the messages cross; a test walks through all crossings.
3. An update is everything from Begin to its verdict. There is one at a time, and each Begin has
   exactly one verdict: Committed, or Failed, which is also the answer to Abandon. After an early
   Failed the leader still ends the update, by Commit or Abandon, and gets no second verdict.
4. Refused is legal in every state and is its sender's last message.
5. The first error is final: every later call raises it again, except that one Refused may still
   be sent to say why. Of data with an error in it no message is handed out, as if the line had
   been cut before them.
6. The end of the stream is clean only between frames.
7. No epoch, generation or pause is taken that the peer cannot have come to
   (:mod:`sbs.core.reach`).
"""

from __future__ import annotations

from sbs.core.codec import NUMBERS, decode, decode_versions, encode, encode_parts
from sbs.core.frames import GREETING_LIMITS, PREAMBLE, SESSION_LIMITS, Frame, FrameDecoder
from sbs.core.legality import TRANSITIONS, Mark, Side, State, Word, step, word_of
from sbs.core.messages import Hello, Message, Refused
from sbs.core.reach import check_reach
from sbs.core.testament import Fenced
from sbs.errors import LocalProtocolError, ProtocolError, RemoteProtocolError, VersionError

__all__ = ["Connection", "Side", "State", "last_words"]


def last_words(secret: bytes) -> bytes:
    """What a fencer writes to whoever connects when its services are dead, and then closes.

    Args:
        secret: as :class:`~sbs.core.messages.Fenced` says.
    """
    return PREAMBLE + encode(Fenced(secret))


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

        For arguments and errors see :meth:`send_parts`.
        """
        return b"".join(self.send_parts(message))

    def send_parts(self, message: Message) -> tuple[bytes, bytes]:
        """The same in two parts; the second is the message's own body, or empty.

        A mebibyte is not copied then (100 us); it costs one more call of the system.

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
            head, body = encode_parts(message)
            self._step(self.side, message, LocalProtocolError)
        except ProtocolError as error:
            self._error = self._error or error
            raise
        if self._begun:
            return head, body
        self._begun = True
        return PREAMBLE + head, body

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
        self._check_reach(message)
        if isinstance(message, Hello):
            self._peer = message
            self._decoder.limits = SESSION_LIMITS
        return message

    def _check_reach(self, message: Message) -> None:
        if self.hello.claim is None:  # a visitor takes nothing over
            return
        try:
            check_reach(self.hello.claim, message)
        except ValueError as error:
            raise RemoteProtocolError(f"{type(message).__name__}: {error}") from error

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
