"""A notice as people read it: subject, text and HTML, made from nothing but the notice.

The first line says what happened, the second whether anything has to be done; then come the facts,
then the next steps as commands.
"""

from __future__ import annotations

import datetime as dt
import html
import shlex
from collections.abc import Iterator
from typing import Final, TypeAlias, assert_never

import attrs

from sbs.core.alarm import ALARMS, Alarm
from sbs.core.notice import MAX_PROBLEMS, MAX_SERVICES, Kind, Notice, brief
from sbs.core.printable import plain

MAX_SUBJECT_CHARS: Final = 150
"""Longest subject: more is cut by what shows it."""

_LABEL_CHARS: Final = 18
"""Width of the column of labels in the text."""

_Fact: TypeAlias = tuple[str, str]


@attrs.frozen
class Step:
    """Something to do: in words, and the command for it, on which node."""

    text: str
    command: str = ""
    on: str = ""


@attrs.frozen(kw_only=True)
class Letter:
    """A notice, put into words.

    Args:
        subject: one line.
        headline: what happened.
        task: whether anything has to be done.
        urgent: it has to be done now.
        facts: labels and values.
        steps: what to do next.
        closing: who sent it, and its id.
    """

    subject: str
    headline: str
    task: str
    urgent: bool
    facts: tuple[_Fact, ...]
    steps: tuple[Step, ...]
    closing: tuple[str, ...]

    @property
    def text(self) -> str:
        """As plain text; ends with a line break."""
        parts = [f"{self.headline}\n{self.task}", "\n".join(map(_text_row, self.facts))]
        if self.steps:
            numbered = enumerate(self.steps, 1)
            parts.append("Next steps\n" + "\n".join(_text_step(n, step) for n, step in numbered))
        parts.append("\n".join(["-- ", *self.closing]))
        return "\n\n".join(parts) + "\n"

    @property
    def html(self) -> str:
        """As a small HTML document that needs nothing from anywhere; ends with a line break."""
        colour = _URGENT_COLOUR if self.urgent else _CALM_COLOUR
        parts = [
            _HEAD.format(title=html.escape(self.subject)),
            f'<p style="margin:0;font-size:18px;font-weight:bold;border-left:6px solid {colour};'
            f'padding:4px 12px">{html.escape(self.headline)}</p>',
            f'<p style="margin:8px 0 16px">{html.escape(self.task)}</p>',
            '<table style="border-collapse:collapse">',
            *map(_html_row, self.facts),
            "</table>",
        ]
        if self.steps:
            parts += ["<p><b>Next steps</b></p>", "<ol>", *map(_html_step, self.steps), "</ol>"]
        closing = html.escape(" ".join(self.closing))
        parts.append(f'<p style="color:#777;font-size:12px">{closing}</p>')
        return "\n".join([*parts, "</body>", "</html>"]) + "\n"


_URGENT_COLOUR: Final = "#c0392b"
_CALM_COLOUR: Final = "#2e7d32"

_HEAD: Final = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family:sans-serif;font-size:15px;color:#222;max-width:44em">"""


def _text_row(fact: _Fact) -> str:
    label, value = fact
    return f"  {label:<{_LABEL_CHARS}}{value}"


def _text_step(number: int, step: Step) -> str:
    place = f"   (on {step.on})" if step.on else ""
    command = f"\n       {step.command}{place}" if step.command else ""
    return f"  {number}. {step.text}{command}"


def _html_row(fact: _Fact) -> str:
    label, value = map(html.escape, fact)
    cell = "padding:2px 16px 2px 0;vertical-align:top"
    return f'<tr><td style="{cell};color:#777">{label}</td><td style="{cell}">{value}</td></tr>'


def _html_step(step: Step) -> str:
    place = f" (on {html.escape(step.on)})" if step.on else ""
    command = f"<br><code>{html.escape(step.command)}</code>{place}" if step.command else ""
    return f"<li>{html.escape(step.text)}{command}</li>"


def write(notice: Notice) -> Letter:
    """Put a notice into words.

    Args:
        notice: its texts may hold anything; what is no printable character is escaped.
    """
    notice = _printable(notice)
    headline = _headline(notice)
    return Letter(
        subject=_cut(f"[SBS] {headline.rstrip('.')}"),
        headline=headline,
        task=_task(notice),
        urgent=_is_urgent(notice),
        facts=tuple(_facts(notice)),
        steps=tuple(_steps(notice)),
        closing=(
            f"Sent by SBS on {notice.node}. A message of the same event has the same id:",
            notice.id,
        ),
    )


def _printable(notice: Notice) -> Notice:
    return attrs.evolve(
        notice,
        node=_tidy(notice.node),
        peer=_tidy(notice.peer),
        config=_tidy(notice.config),
        role=_tidy(notice.role),
        epoch=_tidy(notice.epoch),
        why=_tidy(notice.why),
        code=_tidy(notice.code),
        failed=_tidy(notice.failed),
        services=tuple(map(_tidy, notice.services[:MAX_SERVICES])),
        problems=tuple(map(_tidy, notice.problems[:MAX_PROBLEMS])),
    )


def _tidy(text: str) -> str:
    return brief(plain(text))


def _cut(subject: str) -> str:
    return (
        subject if len(subject) <= MAX_SUBJECT_CHARS else subject[: MAX_SUBJECT_CHARS - 3] + "..."
    )


def _is_urgent(notice: Notice) -> bool:
    return notice.kind is Kind.URGENT or bool(notice.failed)


def _peer(notice: Notice) -> str:
    return notice.peer or "the other node"


def _headline(notice: Notice) -> str:
    node, peer = notice.node, _peer(notice)
    match notice.kind:
        case Kind.TAKEOVER:
            return f"{node} has taken over from {peer}{_outcome(notice)}."
        case Kind.HANDOVER:
            return f"{peer} has handed its role to {node}{_outcome(notice)}."
        case Kind.RESTART:
            return f"{node} leads again after a restart{_outcome(notice)}."
        case Kind.RECOVERY:
            return f"{peer} follows {node} now, and could take over."
        case Kind.URGENT | Kind.ALARM:
            return f"{node}: alarm {notice.code}."
        case Kind.TEST:
            return f"{node}: a test message."
        case _:
            assert_never(notice.kind)


def _outcome(notice: Notice) -> str:
    if notice.failed:
        return ", but not all services could be started"
    if not notice.started:
        return "; the services are being started"
    if notice.outage_s is not None:
        return f"; no service ran for {_duration(notice.outage_s)}"
    return "; the services run"


def _task(notice: Notice) -> str:
    peer = _peer(notice)
    if notice.failed:
        return "This needs you now: the services named below do not run."
    match notice.kind:
        case Kind.TAKEOVER if notice.started:
            return (
                f"Nothing has to be done at once. Until {peer} is back, nothing could replace "
                f"{notice.node}."
            )
        case Kind.TAKEOVER | Kind.RESTART | Kind.HANDOVER if not notice.started:
            return "Look whether the services run: when this was sent, they did not yet."
        case Kind.URGENT:
            return "This needs you now: SBS cannot mend it by itself, or cannot tell what is right."
        case Kind.ALARM:
            return "Look at it when you can; the alarm stands until its cause is gone."
        case Kind.TEST:
            return "Nothing has to be done: messages of this node arrive."
        case _:
            return "Nothing has to be done."


def _facts(notice: Notice) -> Iterator[_Fact]:
    if notice.why:
        yield "Alarm" if notice.code else "Why", notice.why
    yield "When", _moment(notice.at, notice)
    if notice.heard_at is not None:
        yield "Last sign of life", f"{_moment(notice.heard_at, notice)}, of {_peer(notice)}"
    if notice.outage_s is not None:
        yield "Outage", f"{_duration(notice.outage_s)}, from then until the services were started"
    if notice.kind is not Kind.TEST:
        yield "Services", ", ".join(notice.services) or "none"
    if notice.failed:
        yield "Not started", notice.failed
    if notice.kind is not Kind.TEST:
        yield "Data", _data(notice)
    if notice.role:
        yield "Role", f"{notice.node} is {notice.role}, epoch {notice.epoch}"
    for line in notice.problems:
        yield "Also", line


def _data(notice: Notice) -> str:
    held = f"generation {notice.generation}"
    if notice.updated_at is None:
        return held
    return f"{held}; last change applied {_moment(notice.updated_at, notice)}"


def _steps(notice: Notice) -> Iterator[Step]:
    node, peer = notice.node, _peer(notice)
    config = f" -c {shlex.quote(notice.config)}" if notice.config else ""
    if notice.kind is Kind.TEST:
        return
    yield Step("Look at the pair:", f"sbs status{config}", node)
    if notice.failed:
        yield Step(
            "Mend what the services lack, then start each (if the mistake is in the configuration "
            "file: restart SBS):",
            f"sbs unit start NAME{config}",
            node,
        )
    if notice.kind is Kind.TAKEOVER:
        yield Step(f"Find out why {peer} was lost; its log and its machine know.")
        yield Step(f"Start SBS on {peer}: it follows {node}, and gets what has changed meanwhile.")
    if notice.kind in (Kind.TAKEOVER, Kind.RECOVERY):
        when = "Once both are in step, give" if notice.kind is Kind.TAKEOVER else "Give"
        yield Step(f"{when} the role back if you like:", f"sbs switchover{config}", node)
    if notice.kind in (Kind.URGENT, Kind.ALARM):
        yield Step("See why the nodes do not meet, if they do not:", f"sbs probe{config}", node)
        yield Step(f"{_remedy(notice.code)}What the alarm {notice.code} means: docs/errors.md")


def _remedy(code: str) -> str:
    """What to do about an alarm; empty for one that only another release of SBS knows."""
    if code not in ALARMS:
        return ""
    return f"{ALARMS[Alarm(code)].remedy.replace('`', '')} "


def _moment(at: float, notice: Notice) -> str:
    """Local time of the node, with its offset from UTC."""
    zone = dt.timezone(dt.timedelta(seconds=notice.utc_offset_s))
    return dt.datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M:%S %z")


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
