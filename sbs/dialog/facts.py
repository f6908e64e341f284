"""What the first tab says of a node, in rows of a label and a text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from gettext import gettext as _
from gettext import ngettext
from typing import Any

from sbs.core.alarm import ALARMS, Alarm
from sbs.core.printable import plain
from sbs.dialog.node import Seen
from sbs.dialog.plot import Updates, plot, size

Status = Mapping[str, Any]


def rows(seen: Seen, updates: Updates) -> Iterator[tuple[str, str]]:
    """The rows; a label is empty where a row continues the one before it.

    Args:
        seen: of the node.
        updates: seen until now.
    """
    if seen.status is None:
        stopped = _("not running; services of SBS are stopped")
        yield _("Node"), plain(seen.why) if seen.why else stopped
        return
    status = seen.status
    yield (
        _("Node"),
        _("{name} ({mode}), serves {place}").format(
            name=plain(status["name"]), mode=status["mode"], place=plain(status["listen"])
        ),
    )
    change = status.get("last_change")  # a node of an older release does not tell
    if change is not None:
        yield _("Since"), plain(f"{_moment(change['at'])}: {change['reason']}")
    yield _("Peer"), _peer(status)
    yield _("Epoch"), _epoch(status)
    yield _("History"), _history(status)
    yield _("Services"), _services(status)
    yield _("Last update"), _last_update(status)
    if durations_s := updates.durations_s:
        most = _("up to {duration_s:.3g} s").format(duration_s=max(durations_s))
        yield _("Durations"), f"{plot(durations_s)}  {most}"
    progress = status["progress"]
    if progress is not None:
        yield _("Update"), _("under way: {phase}").format(phase=_(plain(progress["phase"])))
    if status["held"] is not None:
        yield _("Held"), _held(status["held"]["deletes"])
    if status["paused"]:
        yield _("Paused"), _("no automatic takeover, until sbs resume")


def alarms(seen: Seen) -> Iterator[tuple[str, str]]:
    """The alarms and problems: what the node says of each, and what it means and asks for."""
    if seen.status is None:
        return
    for alarm in seen.status["alarms"]:
        text = plain(f"{_moment(alarm['since'])} {alarm['code']}: {alarm['text']}")
        yield text, _advice(alarm["code"])
    for problem in seen.status["problems"]:
        yield plain(_("problem: {text}").format(text=problem)), ""


def _advice(code: str) -> str:
    if code not in ALARMS:  # of a node of a newer release
        return ""
    why = ALARMS[Alarm(code)]
    return " ".join(map(_, (why.cause, why.remedy))).replace("`", "")


def _peer(status: Status) -> str:
    peer = status["peer"]
    if peer is None:
        return _("not met since the start")
    if peer["connected"]:
        text = _("{name} at {address}: {role}, connected")
    else:
        text = _("{name} at {address}: not connected")
    return plain(text.format(name=peer["name"], address=peer["address"], role=_(peer["role"])))


def _epoch(status: Status) -> str:
    if status["in_step"]:
        text = _("{epoch} (SBS_EPOCH {token}), generation {generation}, in step")
    else:
        text = _("{epoch} (SBS_EPOCH {token}), generation {generation}")
    return text.format(
        epoch=status["epoch"], token=status["epoch_token"], generation=status["generation"]
    )


def _held(deletes: int) -> str:
    return ngettext(
        "an update of {count} delete: see sbs diff",
        "an update of {count} deletes: see sbs diff",
        deletes,
    ).format(count=deletes)


def _history(status: Status) -> str:
    """The primacies, the newest first."""
    found = [
        _("epoch {epoch} to generation {generation}").format(
            epoch=each["epoch"], generation=each["generation"]
        )
        for each in reversed(status.get("primacies", ()))  # a node of an older release has none
    ]
    return ", ".join(found) or _("none yet")


def _services(status: Status) -> str:
    services = status["services"]
    down = services.get("down", ())  # a node of an older release does not tell
    names = (
        _("{name} (down)").format(name=name) if name in down else name
        for name in dict.fromkeys([*services["active"], *down])
    )
    text = plain(", ".join(names)) or _("none active")
    if sorted(services["wanted"]) != sorted(services["active"]):
        wanted = plain(", ".join(services["wanted"])) or _("none")
        text += "; " + _("a takeover starts: {names}").format(names=wanted)
    return text


def _last_update(status: Status) -> str:
    update = status["last_update"]
    if update is None:
        return _("none yet")
    files = ngettext("{count} file", "{count} files", update["files"]).format(count=update["files"])
    return (
        f"{_moment(update['at'])}, {files}, {size(update['bytes'])}, {update['duration_s']:.3f} s"
    )


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
