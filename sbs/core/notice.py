"""What the administrator is told: one value for one event (R51, B50)."""

from __future__ import annotations

import enum
from typing import assert_never

import attrs
from attrs.validators import ge, instance_of, le, matches_re, optional

from sbs.core.alarm import Alarm
from sbs.core.effects import Via
from sbs.core.epoch import Epoch

MAX_ID_CHARS = 120
"""Longest id: it is a file's name and a part of a Message-ID (RFC 5322, section 3.6.4)."""

MAX_TEXT_CHARS = 1000
"""Longest text of a problem in a notice: its beginning says what it is, the log has the rest."""

MIN_AT, MAX_AT = -(2.0**31), 2.0**37
"""Moments lie between the years 1901 and 6325: others are damage, and not all can be written."""

MAX_OFFSET_S = 24 * 3600 - 1
"""Of a local time from UTC, either way."""

MAX_PROBLEMS = 10
"""Problems in one notice: more than that are read in ``sbs status``."""

MAX_SERVICES = 100
"""Services listed in one notice; a pair has a few."""


class Kind(enum.Enum):
    """What an event means to the administrator."""

    TAKEOVER = "takeover"
    """This node replaced a primary that was lost."""
    URGENT = "urgent"
    """SBS needs a person, or data of one node lies aside: an alarm of :data:`URGENT`."""
    HANDOVER = "handover"
    """The primary handed its role over in order."""
    RESTART = "restart"
    """The primary had to start its services anew: SBS or the machine had ended."""
    RECOVERY = "recovery"
    """After a takeover the other node follows, and holds all data: it could take over again."""
    ALARM = "alarm"
    """Any other alarm stands."""
    TEST = "test"
    """Somebody tries whether messages arrive."""

    @property
    def rank(self) -> int:
        """What gives way first where there is no room for all: the greatest."""
        return _RANKS[self]

    @property
    def pressing(self) -> bool:
        """Whether people may have to act at once: it does not wait for what failed before it."""
        return self.rank == 0


_RANKS = {
    Kind.TAKEOVER: 0,
    Kind.URGENT: 0,
    Kind.HANDOVER: 1,
    Kind.RESTART: 1,
    Kind.RECOVERY: 2,
    Kind.ALARM: 2,
    Kind.TEST: 2,
}

URGENT = frozenset(
    {
        Alarm.PRIMARY_LOST,
        Alarm.NO_GENERATION,
        Alarm.NO_VOTE,
        Alarm.FENCE_FAILED,
        Alarm.DUAL_PRIMARY,
        Alarm.QUARANTINE,
        Alarm.SERVICE_GIVEN_UP,
        Alarm.SERVICE_UNSTABLE,
        Alarm.IDENTITY_REFUSED,
    }
)
"""Alarms that are always mailed: what serves is missing, now or ever again, or nobody knows, before
a person acts."""


def kind_of(via: Via) -> Kind | None:
    """What the beginning of a primacy means to the administrator.

    Args:
        via: how it came about.

    Returns:
        the kind of its notice; ``None`` for an ordinary start, of which there is none.
    """
    match via:
        case Via.DIRECT | Via.FOLLOWED:
            return None
        case Via.RELEASED:
            return Kind.HANDOVER
        case Via.RESUMED | Via.RENEWED:
            return Kind.RESTART
        case Via.REFUSED | Via.SILENCE | Via.FENCED | Via.YIELDED | Via.FORCED:
            return Kind.TAKEOVER
        case _:
            assert_never(via)


def _check_moment(_instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not MIN_AT <= value <= MAX_AT:  # not a number is neither
        raise ValueError(f"{attribute.name!r} must be {MIN_AT:g} to {MAX_AT:g}, not {value}")


@attrs.frozen(kw_only=True)
class Notice:
    """One event, as the administrator is told of it.

    Args:
        id: of the event: whatever is sent again has the same one. 1 to :data:`MAX_ID_CHARS`
            lower-case letters, digits, dots and dashes.
        kind: what it means.
        at: when it happened, seconds since 1970.
        utc_offset_s: of the local time there, seconds.
        node: which tells it.
        peer: the other node; empty if it is not known.
        config: the node's configuration file, for commands; empty if there is none.
        role: of the node, as ``sbs status`` has it.
        epoch: of the newest primacy known.
        why: how it came about; of an alarm, its text.
        code: of the alarm (``docs/errors.md``).
        heard_at: when the other node was last heard as primary, seconds since 1970.
        outage_s: from then until the services were started; ``None`` for not known.
        generation: number of the last complete generation held.
        updated_at: when the last update with changes was applied, seconds since 1970.
        services: that were to start; of an alarm, those that are active.
        started: the attempt to start them is over.
        failed: why some of them could not be started; empty: all were.
        problems: what else stands at that time, a line each.
    """

    id: str = attrs.field(validator=matches_re(rf"[a-z0-9][a-z0-9.-]{{0,{MAX_ID_CHARS - 1}}}"))
    kind: Kind = attrs.field(validator=instance_of(Kind))
    at: float = attrs.field(validator=_check_moment)
    utc_offset_s: int = attrs.field(default=0, validator=[ge(-MAX_OFFSET_S), le(MAX_OFFSET_S)])
    node: str
    peer: str = ""
    config: str = ""
    role: str = ""
    epoch: str = ""
    why: str = ""
    code: str = ""
    heard_at: float | None = attrs.field(default=None, validator=optional(_check_moment))
    outage_s: float | None = attrs.field(default=None, validator=optional(_check_moment))
    generation: int = 0
    updated_at: float | None = attrs.field(default=None, validator=optional(_check_moment))
    services: tuple[str, ...] = ()
    started: bool = False
    failed: str = ""
    problems: tuple[str, ...] = ()


def primacy_id(kind: Kind, node_id: str, epoch: Epoch) -> str:
    """The id of the event that a node became primary: no other primacy has this epoch.

    Args:
        kind: of the notice.
        node_id: of the node.
        epoch: of the primacy.
    """
    return f"{kind.value}.{node_id}.{epoch.number}"


def alarm_id(code: Alarm, node_id: str, since: float) -> str:
    """The id of the event that an alarm came up.

    Args:
        code: of the alarm.
        node_id: of the node.
        since: when it came up, seconds since 1970.
    """
    return f"alarm.{code}.{node_id}.{round(since * 1000)}"


def brief(text: str) -> str:
    """``text``, cut to :data:`MAX_TEXT_CHARS`."""
    return text if len(text) <= MAX_TEXT_CHARS else text[: MAX_TEXT_CHARS - 3] + "..."
