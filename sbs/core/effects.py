"""What the role machine wants done. The shell performs effects in order and reports back."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from sbs.core.claim import Role
from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.core.messages import Code


class Alarm(enum.Enum):
    """What the administrator should know for as long as it is so."""

    MODE_ALONE = "mode-alone"
    MODE_CLASH = "mode-clash"
    SAME_IDENTITY = "same-identity"
    NO_SECONDARY = "no-secondary"
    NO_PRIMARY = "no-primary"
    NO_GENERATION = "no-generation"
    DUAL_PRIMARY = "dual-primary"
    HANDOVER_FAILED = "handover-failed"


class Via(enum.Enum):
    """How a node came to be primary; it decides which services start."""

    DIRECT = "no other node answered at the start"
    RESUMED = "the primacy held before the restart was never given back"
    FOLLOWED = "the other node asked to be secondary"
    REFUSED = "the primary's process is gone: its host refuses the connection"
    SILENCE = "the primary was silent for the down interval"
    RELEASED = "the primary handed the role over"
    YIELDED = "the primary came back undecided, and asked to be secondary"
    RENEWED = "an epoch newer than its own was seen"

    @property
    def takeover(self) -> bool:
        """Whether the services that were active before start, not those enabled (R7, R32)."""
        return self not in (Via.DIRECT, Via.FOLLOWED)


@attrs.frozen(kw_only=True)
class Durable:
    """What the machine must remember over a crash.

    Args:
        slot: see :class:`~sbs.core.epoch.Epoch`.
        epoch: the newest heard of.
        history: the generations held.
        held: a primacy was begun and not given back (R5).
        on_silence: it began because the other node was silent.
        active: the services that start on takeover, ``None`` before any was known (R32).
    """

    slot: int
    epoch: Epoch
    history: History = attrs.field(factory=History)
    held: bool = False
    on_silence: bool = False
    active: tuple[str, ...] | None = None


@attrs.frozen
class Dial:
    """Connect to the peer and exchange hellos; answer with PeerMet or DialFailed in time."""

    timeout_s: float


@attrs.frozen
class Close:
    """Close a connection; no ConnectionLost is expected for it."""

    connection: int


@attrs.frozen
class Refuse:
    """Tell the peer why not, and close the connection."""

    connection: int
    code: Code
    text: str


@attrs.frozen
class SendFollow:
    """Ask the peer, on a dialled connection, to be its secondary."""

    connection: int
    epoch: Epoch


@attrs.frozen
class SendWelcome:
    """Take the peer as secondary, and begin to update it (R20)."""

    connection: int
    epoch: Epoch
    history: History


@attrs.frozen
class TakeUpdates:
    """The peer leads on this connection: take its updates (R20)."""

    connection: int
    epoch: Epoch
    history: History


@attrs.frozen
class SendReleased:
    """Tell the follower that the role is free."""

    connection: int
    epoch: Epoch
    generation: Generation | None


@attrs.frozen
class SendTaken:
    """Tell the former primary that its role was taken over."""

    connection: int
    epoch: Epoch


@attrs.frozen
class Save:
    """Make the state durable; answer with Saved. Saves are performed in order."""

    serial: int
    durable: Durable


@attrs.frozen
class StartServices:
    """Finish what the last generation left to apply, then start these services; answer."""

    epoch: Epoch
    names: tuple[str, ...]


@attrs.frozen
class StopServices:
    """Stop the services, killing what exceeds the bound; answer with ServicesStopped."""


@attrs.frozen
class FinalUpdate:
    """Run one more update and wait for its commit; answer with FinalUpdateEnded."""

    connection: int


@attrs.frozen
class TellRole:
    """The role seen from outside is now this: log, status, transition hooks."""

    role: Role
    epoch: Epoch
    reason: str


@attrs.frozen
class RaiseAlarm:
    """An alarm stands, from now or still."""

    alarm: Alarm
    text: str


@attrs.frozen
class ClearAlarm:
    """An alarm, if it stood, is over."""

    alarm: Alarm


@attrs.frozen
class Answer:
    """Answer an operator's request; ``error`` empty: done."""

    ticket: int
    error: str = ""


@attrs.frozen
class Exit:
    """End the node after all effects before; ``refusal`` empty: as asked."""

    refusal: str = ""


Effect: TypeAlias = (
    Dial
    | Close
    | Refuse
    | SendFollow
    | SendWelcome
    | TakeUpdates
    | SendReleased
    | SendTaken
    | Save
    | StartServices
    | StopServices
    | FinalUpdate
    | TellRole
    | RaiseAlarm
    | ClearAlarm
    | Answer
    | Exit
)
