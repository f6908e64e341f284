"""The alarms that stand, each since when; the log has every coming and going."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import attrs

from sbs.core.alarm import Alarm
from sbs.log import INFO, WARNING, Log

_log = Log(__name__)
_RAISED = _log.event(
    "alarm-raised",
    WARNING,
    "alarm {code}: {text}",
    "Cause and remedy of each alarm: [errors.md](errors.md).",
)
_OVER = _log.event(
    "alarm-over",
    INFO,
    "alarm {code} is over",
    "What it told of has passed. Nothing to do.",
)


@attrs.frozen(kw_only=True)
class StandingAlarm:
    """Something the administrator should know.

    Args:
        code: which one (``docs/errors.md``).
        text: what it is and what to do.
        since: seconds since 1970.
    """

    code: Alarm
    text: str
    since: float


class Alarms:
    """The standing alarms of one node."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._standing: dict[Alarm, StandingAlarm] = {}

    def raise_(self, code: Alarm, text: str) -> None:
        """An alarm stands; one that stood already keeps its time."""
        before = self._standing.get(code)
        if before is not None and before.text == text:
            return
        _RAISED(code=code, text=text)
        since = self._clock() if before is None else before.since
        self._standing[code] = StandingAlarm(code=code, text=text, since=since)

    def clear(self, code: Alarm) -> None:
        """An alarm is over."""
        if self._standing.pop(code, None) is not None:
            _OVER(code=code)

    def tell(self, code: Alarm, texts: Iterable[str]) -> None:
        """An alarm stands for each of these texts; for none, it is over."""
        text = "; ".join(texts)
        if text:
            self.raise_(code, text)
        else:
            self.clear(code)

    def text(self, code: Alarm) -> str:
        """What an alarm says; empty: it does not stand."""
        alarm = self._standing.get(code)
        return "" if alarm is None else alarm.text

    @property
    def standing(self) -> tuple[StandingAlarm, ...]:
        """All that stand, oldest first."""
        return tuple(sorted(self._standing.values(), key=lambda alarm: alarm.since))
