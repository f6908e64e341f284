"""What the first tab says of a node, in rows of a label and a text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

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
        yield "Node", plain(seen.why) if seen.why else "not running; services of SBS are stopped"
        return
    status = seen.status
    yield "Node", f"{plain(status['name'])} ({status['mode']}), serves {plain(status['listen'])}"
    yield "Peer", _peer(status)
    yield "Epoch", _epoch(status)
    yield "History", _history(status)
    yield "Services", _services(status)
    yield "Last update", _last_update(status)
    if durations_s := updates.durations_s:
        yield "Durations", f"{plot(durations_s)}  up to {max(durations_s):.3g} s"
    progress = status["progress"]
    if progress is not None:
        yield "Update", f"under way: {plain(progress['phase'])}"
    if status["held"] is not None:
        yield "Held", f"an update of {status['held']['deletes']} deletes: see sbs diff"
    if status["paused"]:
        yield "Paused", "no automatic takeover, until sbs resume"


def alarms(seen: Seen) -> Iterator[str]:
    """The alarms and problems, one line each."""
    if seen.status is None:
        return
    for alarm in seen.status["alarms"]:
        yield plain(f"{_moment(alarm['since'])} {alarm['code']}: {alarm['text']}")
    for problem in seen.status["problems"]:
        yield plain(f"problem: {problem}")


def _peer(status: Status) -> str:
    peer = status["peer"]
    if peer is None:
        return "not met since the start"
    connected = f"{peer['role']}, connected" if peer["connected"] else "not connected"
    return plain(f"{peer['name']} at {peer['address']}: {connected}")


def _epoch(status: Status) -> str:
    in_step = ", in step" if status["in_step"] else ""
    return (
        f"{status['epoch']} (SBS_EPOCH {status['epoch_token']}), "
        f"generation {status['generation']}{in_step}"
    )


def _history(status: Status) -> str:
    """The primacies, the newest first."""
    found = [
        f"epoch {each['epoch']} to generation {each['generation']}"
        for each in reversed(status.get("primacies", ()))  # a node of an older release has none
    ]
    return ", ".join(found) or "none yet"


def _services(status: Status) -> str:
    services = status["services"]
    text = plain(", ".join(services["active"])) or "none active"
    if sorted(services["wanted"]) != sorted(services["active"]):
        text += f"; a takeover starts: {plain(', '.join(services['wanted'])) or 'none'}"
    return text


def _last_update(status: Status) -> str:
    update = status["last_update"]
    if update is None:
        return "none yet"
    files = "1 file" if update["files"] == 1 else f"{update['files']} files"
    return (
        f"{_moment(update['at'])}, {files}, {size(update['bytes'])}, {update['duration_s']:.3f} s"
    )


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
