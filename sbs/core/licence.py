"""Licences: when a node may start services (R40 to R44, B40). Pure; ``docs/licences.md`` explains.

One rule decides: a ``full`` licence that counts allows everything; anything else allows what goes
on under a *grant*. The grant is part of the role machine's durable state, so it is on disk together
with the primacy that it belongs to, before a service starts: :func:`is_granted` is asked when a
primacy begins.
"""

from __future__ import annotations

import datetime as dt
import enum
from typing import assert_never

import attrs
from attrs.validators import instance_of, optional

from sbs.core.effects import Via

MAX_TEXT_CHARS = 200
"""Longest serial, holder or node of a licence: they stand in status lines and alarms."""

WARN_DAYS = 30
"""For so many days before its end a licence is warned of: time to order another."""


class Kind(enum.Enum):
    """What a licence is for (R40)."""

    FULL = "full"
    """For the main server: allows everything."""
    BACKUP = "backup"
    """For the backup server: allows what SBS starts when the primary has failed."""


def _is_text(_instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    fits = isinstance(value, str) and 1 <= len(value) <= MAX_TEXT_CHARS and value.isprintable()
    if not fits:
        allowed = f"a string of 1 to {MAX_TEXT_CHARS} printable characters"
        raise ValueError(f"{attribute.name} = {value!a}: allowed is {allowed}")


def _is_day(_instance: object, attribute: attrs.Attribute[dt.date], value: object) -> None:
    if type(value) is not dt.date:  # a time of day would be an instance, too
        raise ValueError(f"{attribute.name} = {value!s}: allowed is a date, as 2027-01-31")


@attrs.frozen(kw_only=True)
class Licence:
    """What a vendor has signed.

    Args:
        serial: the vendor's number for it.
        kind: what it is for.
        holder: to whom it was issued.
        node: the name of the node that it is for (``node.name``).
        issued: when; for people.
        expires: the last day on which it counts, in UTC; ``None``: it has no end.
    """

    serial: str = attrs.field(validator=_is_text)
    kind: Kind = attrs.field(validator=instance_of(Kind))
    holder: str = attrs.field(validator=_is_text)
    node: str = attrs.field(validator=_is_text)
    issued: dt.date = attrs.field(validator=_is_day)
    expires: dt.date | None = attrs.field(default=None, validator=optional(_is_day))

    def days_left(self, today: dt.date) -> int | None:
        """Days on which it still counts, today among them; 0: it has ended; ``None``: no end."""
        if self.expires is None:
            return None
        return max(0, (self.expires - today).days + 1)


@attrs.frozen(kw_only=True)
class Standing:
    """What is known of a node's licence at one moment.

    Args:
        licence: the one that was verified, also when it has ended; ``None``: there is none.
        problem: why none counts, in one line: where, what is wrong, what to do; empty: one does,
            or none is needed.
        absent: that problem is only that none was found: it is missing, or nothing of it could be
            read; not that there is one which is forged or another node's.
        warning: what will be a problem soon, in one line.
    """

    licence: Licence | None = None
    problem: str = ""
    absent: bool = False
    warning: str = ""

    @property
    def unlimited(self) -> bool:
        """Whether services may start in any case (R40)."""
        full = self.licence is None or self.licence.kind is Kind.FULL
        return full and not self.problem


UNLICENSED = Standing()
"""No licence is needed."""


def standing(licence: Licence, place: str, today: dt.date) -> Standing:
    """How a verified licence stands on a day.

    Args:
        licence: that was verified.
        place: where it is, for texts.
        today: in UTC.
    """
    days = licence.days_left(today)
    if days == 0:
        text = f"{place}: the licence ended on {licence.expires}; put a new one in its place"
        return Standing(licence=licence, problem=text)
    if days is not None and days <= WARN_DAYS:
        span = "1 day" if days == 1 else f"{days} days"
        text = f"{place}: the licence ends in {span}, after {licence.expires}; ask for a new one"
        return Standing(licence=licence, warning=text)
    return Standing(licence=licence)


@attrs.frozen(kw_only=True)
class Start:
    """Services are about to start on a primary.

    Args:
        via: how it became primary.
        granted: its primacy is under the grant of a takeover (R42, R43).
        by_operator: a person asks (``sbs unit start``), not SBS itself.
    """

    via: Via
    granted: bool
    by_operator: bool = False


def refusal(standing: Standing, start: Start) -> str:
    """Why services may not start (R41); empty: they may (R40, R42).

    What does not count any more (it has ended, was removed or replaced by something else while
    SBS runs) still allows what ``backup`` allows, so that a takeover never fails for it. Who asks
    makes no difference.

    Args:
        standing: of the licence now.
        start: what is about to happen.

    Returns:
        one line for people.
    """
    if standing.unlimited or start.granted:
        return ""
    if standing.problem or standing.licence is None:
        return f"no service is started, since this is no takeover: {standing.problem}"
    return (
        f"no service is started: licence {standing.licence.serial} is of the kind backup, for "
        f"takeovers of a failed primary, and {_lacks(start.via)}; let the main server lead, or "
        "install a full licence"
    )


def _lacks(via: Via) -> str:
    """Why a primacy that came about so has no grant, or has none any more."""
    if via is Via.FORCED:
        return (
            "the other node is not known to have led before this one was forced, or the services "
            "were stopped by hand since"
        )
    if is_granted(via, before=False, other_led=False):
        return "the services of the takeover were stopped by hand since"
    return f"this is none ({via.value})"


def is_granted(via: Via, *, before: bool, other_led: bool) -> bool:
    """Whether a primacy that begins is under a grant (R42, R43).

    Args:
        via: how it came about.
        before: the primacy that it goes on with, one that this node has not given back, is.
        other_led: as far as this node knows, the other node was the last primary.
    """
    match via:
        case Via.DIRECT | Via.FOLLOWED:
            return False
        case Via.RESUMED | Via.RENEWED:
            return before
        case Via.FORCED:  # an operator vouches that a primary is lost: there has to be one
            return before or other_led
        case Via.REFUSED | Via.SILENCE | Via.FENCED | Via.RELEASED | Via.YIELDED:
            return True
        case _:
            assert_never(via)


def may_run(standing: Standing, *, granted: bool) -> bool:
    """Whether a node may start to run at all.

    Without a licence it may not, unless it goes on with a takeover (R43): then one that has ended
    suffices, and so does that none is found, for the disk or the share that it lies on may be what
    failed. One that is forged or another node's never does.

    Args:
        standing: of its licence.
        granted: it held a primacy under a grant when it ended, and has not given it back.
    """
    return not standing.problem or (granted and (standing.absent or standing.licence is not None))
