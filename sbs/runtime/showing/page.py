"""The status page for people: made here as a whole, so that it works without scripts.

What others have named (nodes, services, files) is escaped at the place where it enters the page.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from sbs.core.claim import Role
from sbs.runtime.operating.status import Status
from sbs.runtime.showing import drawing
from sbs.runtime.showing.chronicle import Chronicle

RELOAD_S: Final = 5
"""Without scripts the browser loads the page anew so often."""

SHOWN_CHANGES: Final = 8
"""Changes of the role in the list; ``sbs roles`` has more."""

_FRAME: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" id="icon" type="image/svg+xml" href="role/{role}.svg">
<link rel="stylesheet" href="page.css">
<script src="page.js" defer></script>
<noscript><meta http-equiv="refresh" content="{reload_s}"></noscript>
</head>
<body>
<p id="lost" role="alert" hidden>This node does not answer; what stands here is old.</p>
<main id="main">
{main}
</main>
<footer>SBS {version}, read-only. <a href="status.json">status.json</a>
<a href="metrics">metrics</a></footer>
</body>
</html>
"""


def page(status: Status, chronicle: Chronicle, now: float) -> str:
    """The whole page.

    Args:
        status: of the node.
        chronicle: of the node.
        now: seconds since 1970.
    """
    return _FRAME.format(
        title=escape(f"{status.role} · {status.name}"),
        role=status.role,
        reload_s=RELOAD_S,
        main="\n".join(_sections(status, chronicle, now)),
        version=escape(status.version),
    )


def _sections(status: Status, chronicle: Chronicle, now: float) -> Iterator[str]:
    yield f'<div class="pair">{_own_card(status, now)}{_peer_card(status)}</div>'
    if status.alarms:
        items = (
            f"<li><strong>{escape(alarm.code)}</strong> {escape(alarm.text)} "
            f"<small>since {_moment(alarm.since)}</small></li>"
            for alarm in status.alarms
        )
        yield _section("Alarms", f'<ul class="alarms">{"".join(items)}</ul>')
    else:
        yield _section("Alarms", '<p class="well">None.</p>')
    yield _section("Services", _services(status))
    yield _section("Role", _stages(chronicle, now))
    yield _section("Updates", _updates(status, chronicle))
    if status.problems or status.conflict_count:
        yield _section("Files to look at", _files(status))


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"


def _card(kind: str, role: str, name: str, rows: Iterable[tuple[str, str]]) -> str:
    shown = "".join(f"<dt>{label}</dt><dd>{escape(value)}</dd>" for label, value in rows)
    heading = "h1" if kind == "own" else "h2"
    return (
        f'<article class="card {kind} role-{role}"><div class="head">{drawing.logo(Role(role))}'
        f"<div><{heading}>{escape(name)}</{heading}>"
        f'<p class="role">{role.upper()}</p></div></div><dl>{shown}</dl></article>'
    )


def _own_card(status: Status, now: float) -> str:
    rows = [
        ("state", status.state),
        ("epoch", str(status.epoch)),
        ("generation", str(status.generation)),
        ("takeover", "possible: the secondary is in step" if status.in_step else "not possible"),
        ("mode", status.mode),
    ]
    if status.role == Role.PRIMARY.value:
        rows.insert(4, ("lag", _lag(status, now)))
    if status.paused:
        rows.append(("paused", "no takeover by itself (sbs resume)"))
    return _card("own", status.role, status.name, rows)


def _lag(status: Status, now: float) -> str:
    since = status.behind_since
    if since is None:
        but = ", but for the files below" if status.problems else ""
        return f"none: the secondary holds what is here{but}"
    return f"{max(0.0, now - since):,.0f} s: the secondary may lack what was written since"


def _peer_card(status: Status) -> str:
    peer = status.peer
    if peer is None:
        return _card("peer", Role.STOPPED.value, "other node", [("connection", "not met yet")])
    role = peer.role if peer.connected else Role.STOPPED.value
    connection = "connected" if peer.connected else f"none; it was {peer.role}"
    rows = [("connection", connection), ("address", peer.address)]
    return _card("peer", role, peer.name, rows).replace(
        '<p class="role">STOPPED</p>', '<p class="role">NOT SEEN</p>'
    )


def _services(status: Status) -> str:
    services = status.services
    names = sorted({*services.active, *services.wanted, *services.down})
    if not names:
        return "<p>None are configured, or none are wanted.</p>"
    elsewhere = "a takeover starts it" if status.role == "secondary" else "does not run"
    shown = dict.fromkeys(names, ("rests", elsewhere))
    shown |= dict.fromkeys(services.active, ("well", "runs here"))
    shown |= dict.fromkeys(services.down, ("down", "down"))
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="{kind}">{text}</td>'
        f"<td>{services.restarts.get(name, 0)}</td></tr>"
        for name, (kind, text) in shown.items()
    )
    return (
        '<table><thead><tr><th scope="col">name</th><th scope="col">state</th>'
        f'<th scope="col">started again</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _stages(chronicle: Chronicle, now: float) -> str:
    stages = chronicle.stages
    if not stages:
        return "<p>Nothing yet.</p>"
    items = "".join(
        f'<li><span class="dot role-{change.role}"></span>{change.role}, epoch {change.epoch}: '
        f"{escape(change.reason)} <small>{_moment(change.at)}</small></li>"
        for change in reversed(chronicle.changes[-SHOWN_CHANGES:])
    )
    strip = f"{drawing.timeline(stages, now)}<p><small>Since the start of this node.</small></p>"
    return f'{strip}<ol class="stages">{items}</ol>'


def _updates(status: Status, chronicle: Chronicle) -> str:
    parts: list[str] = []
    if status.held is not None:
        parts.append(f"<p><strong>Held:</strong> {escape(status.held.text)}</p>")
    if status.progress is not None:
        phase, done = status.progress.phase, status.progress.files
        parts.append(f"<p>{escape(phase)}: {done} files</p>")
    last = status.last_update
    if last is None:
        return "".join([*parts, "<p>None with changes yet.</p>"])
    parts.append(
        f"<p>The last one: {_count(last.files, 'change')}, {_count(last.bytes, 'byte')}, in "
        f"{last.duration_s:.3f} s <small>{_moment(last.at)}</small></p>"
    )
    if chronicle.updates:
        longest_s = max(update.duration_s for update in chronicle.updates)
        parts.append(drawing.updates(chronicle.updates))
        parts.append(
            f"<p><small>How long the last {_count(len(chronicle.updates), 'update')} with changes "
            f"took; the longest {longest_s:.3f} s.</small></p>"
        )
    return "".join(parts)


def _files(status: Status) -> str:
    items = [escape(problem) for problem in status.problems]
    if status.conflict_count:
        items.append(f"{status.conflict_count} versions in quarantine: sbs status names them")
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _moment(at: float) -> str:
    """A time of this machine's clock, as people write it."""
    iso = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(at))
    return f'<time datetime="{iso}">{time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))}</time>'
