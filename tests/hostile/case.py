"""A hostile case, as a value: what a peer sends, and what must come of it."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from sbs.core.messages import Message, Refused
from tests.hostile.peer import Peer
from tests.hostile.stages import Stage

if TYPE_CHECKING:
    from tests.hostile.arena import Arena

QUIET: Final = None
"""As an answer: the node says nothing, and goes on."""


class Closed:
    """As an answer: the node closes without a word."""


CLOSED: Final = Closed


class Leaves:
    """Instead of an answer: the peer closes without waiting for one."""


LEAVES: Final = Leaves

Answer: TypeAlias = type[Message] | type[Closed] | type[Leaves] | None

Sends: TypeAlias = Callable[[Peer], Sequence[Message | bytes]]
"""Makes what a peer sends, when it is there."""

Makes: TypeAlias = Callable[[Peer], Message | bytes]
"""The same for one message."""


def said(*what: Message | bytes) -> Sends:
    """What does not depend on the session."""
    return lambda _: what


def one(make: Makes) -> Sends:
    """A single message."""
    return lambda peer: [make(peer)]


class Wire(enum.Enum):
    """What the bytes go through."""

    PLAIN = "nothing: tls.insecure is set"
    TLS = "TLS, and the peer has the pinned identity"
    RAW = "the node speaks TLS, the peer what it likes"


@attrs.frozen(kw_only=True)
class Case:
    """Something hostile, and what must come of it.

    Args:
        name: says what.
        seen: a number of ADVERSARIAL.md as "A4", a CVE, a requirement; or where in the protocol.
        at: where in the conversation.
        sends: messages and bytes, made when the conversation is there.
        plays: instead, where the next depends on what the node says.
        answer: of the node, or :data:`QUIET`, or :data:`CLOSED`.
        text: a part of the answer's, as a regular expression.
        then: what else must be so.
        prepare: arranges the node's folder before it starts.
        accept_under: the node takes folders that its configuration does not name.
        wire: what the bytes go through.
        logged: a part of what the node must write to its log, as a regular expression.
    """

    name: str
    seen: str
    at: Stage
    sends: Sends = lambda _peer: ()
    plays: Callable[[Peer], Awaitable[object]] | None = None
    answer: Answer = Refused
    text: str = ""
    then: Callable[[Arena], object] = lambda _arena: None
    prepare: Callable[[Path, Path], object] = lambda _folder, _outside: None
    accept_under: bool = False
    wire: Wire = Wire.PLAIN
    logged: str = ""
