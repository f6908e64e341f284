"""``sbs status``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from gettext import gettext as _
from gettext import ngettext
from typing import Any, Final

import click

from sbs.cli.forms import json_option, show_object
from sbs.cli.help import VerbatimCommand
from sbs.cli.options import config_option, find_state_dir, load_config
from sbs.cli.progress import words
from sbs.cli.text import plain
from sbs.errors import NotRunningError
from sbs.runtime.operating import client

WATCH_INTERVAL_S: Final = 1.0
"""Between two looks of ``--watch``: a person sees no more."""

MAX_CONFLICTS_LISTED: Final = 10
"""In the form for people."""

LABEL_CHARS: Final = 12
"""Of the column of labels."""

_COLOURS: Final = {"primary": "green", "secondary": "cyan", "stopped": "red", "fenced": "red"}

Status = Mapping[str, Any]


@click.command(
    cls=VerbatimCommand, epilog="Examples:\n  sbs status\n  sbs status --json -c alpha.toml"
)
@config_option
@json_option
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
def status(config_path: str, as_json: bool, watch: bool) -> None:
    """Show the role, the peer, services, last update and alarms.

    The first look when anything seems wrong; changes nothing. Exit code 3 if no node is running;
    its role is then "stopped".
    """
    show = _show_json if as_json else _show_text
    found = read_status(config_path)
    if watch:
        try:
            while True:
                if sys.stdout.isatty() and not as_json:
                    click.clear()
                show(found)
                time.sleep(WATCH_INTERVAL_S)
                found = read_status(config_path)
        except KeyboardInterrupt:
            return
    show(found)
    if found["role"] == "stopped":
        raise SystemExit(NotRunningError.exit_code)


def read_status(config_path: str) -> Status:
    """The status of the node of a configuration file, also of one that does not run.

    Raises:
        ConfigError: no node runs, and the file is wrong.
        NotRunningError: a node runs, but does not answer.
    """
    try:
        answer: Status = client.ask(find_state_dir(config_path), "status")
    except (client.NoNodeError, client.EndedError):
        return _stopped(config_path)
    return answer


def _stopped(config_path: str) -> Status:
    """What :class:`sbs.runtime.operating.status.Status` says, as far as known without a node."""
    from sbs.runtime.operating.status import SCHEMA  # noqa: PLC0415 - slow, and rarely needed

    nothing = (
        "state",
        "epoch",
        "epoch_token",
        "generation",
        "peer",
        "security",
        "in_step",
        "behind_since",
        "last_change",
        "licence",  # sbs licence show looks at it without a node
        "last_update",
        "held",
        "progress",
    )
    config = load_config(config_path)
    node = config.node
    return {
        "schema": SCHEMA,
        "name": node.name,
        "role": "stopped",
        "mode": node.mode.value,
        "policy": config.policy.value,
        "votes": None,
        **dict.fromkeys(nothing),
        "primacies": [],
        "services": {"active": [], "wanted": [], "down": [], "restarts": {}},
        "paused": None,  # a node may have been paused and stopped
        "alarms": [],
        "problems": [],
        "notes": [],
        "conflicts": [],
        "conflict_count": 0,
        **dict.fromkeys(("listen", "node_id", "pid", "version")),
    }


def _show_json(found: Status) -> None:
    show_object(found)


def _show_text(found: Status) -> None:
    role = str(found["role"])
    click.echo(click.style(_(role).upper(), fg=_COLOURS.get(role, "yellow"), bold=True))
    for label, value in _rows(found):
        _show_row(label, value)
    for alarm in found["alarms"]:
        text = f"{_moment(alarm['since'])}  {alarm['code']}: {alarm['text']}"
        _show_row(_("alarm"), text, fg="red", bold=True)
    for problem in found["problems"]:
        _show_row(_("problem"), problem)
    for note in found["notes"]:
        _show_row(_("note"), note)
    for text in _conflicts(found):
        _show_row(_("conflict"), text)


def _show_row(label: str, text: str, **style: Any) -> None:
    gap = " " * (LABEL_CHARS - len(label))
    click.echo(f"  {click.style(label, **style)}{gap}{plain(text)}")


def _services(services: Status) -> str:
    down = services.get("down", ())  # a node of an older release does not tell
    return ", ".join(
        _("{name} (down)").format(name=name) if name in down else name
        for name in dict.fromkeys([*services["active"], *down])
    )


def _rows(found: Status) -> Iterator[tuple[str, str]]:
    yield _("node"), f"{found['name']} ({found['mode']})"
    if found["role"] == "stopped":
        yield "", _("no node is running; start it: systemctl start sbs, or sbs run -c FILE")
        return
    text = _("{state}, serves {place}, process {pid}")
    state = _(found["state"])
    yield _("state"), text.format(state=state, place=found["listen"], pid=found["pid"])
    change = found.get("last_change")  # a node of an older release does not tell
    if change is not None:
        yield _("since"), f"{_moment(change['at'])}: {change['reason']}"
    yield _("epoch"), f"{found['epoch']} (SBS_EPOCH {found['epoch_token']})"
    generation = str(found["generation"])
    if found["in_step"]:
        generation = _step(found).format(generation=generation)
    yield _("generation"), generation
    yield _("peer"), _peer(found["peer"])
    since = found.get("behind_since")  # a node of an older release does not tell
    if since is not None:
        text = _("what was written since {time} may be missing there")
        yield _("behind"), text.format(time=_moment(since))
    if found.get("security") is not None:  # a node of an older release does not tell
        yield _("security"), _security(found["security"])
    services = found["services"]
    yield _("services"), _services(services) or _("none active")
    if sorted(services["wanted"]) != sorted(services["active"]):
        wanted = ", ".join(services["wanted"]) or _("none")
        yield "", _("a takeover starts: {names}").format(names=wanted)
    if services["restarts"]:
        counts = ", ".join(f"{name} {count}" for name, count in services["restarts"].items())
        yield "", _("started again: {counts}").format(counts=counts)
    if found.get("licence") is not None:  # a node of an older release does not tell
        yield _("licence"), _licence(found["licence"])
    update = found["last_update"]
    if update is None:
        yield _("last update"), _("none yet")
    else:
        text = ngettext(
            "{time}, {files} file, {bytes} bytes, {duration_s:.3f} s",
            "{time}, {files} files, {bytes} bytes, {duration_s:.3f} s",
            update["files"],
        )
        yield _("last update"), text.format(time=_moment(update["at"]), **update)
    progress = found["progress"]
    if progress is not None:
        phase, text = _(progress["phase"]), words(progress)
        yield _("progress"), f"{phase}: {text}" if text else phase
    held = found["held"]
    if held is not None:
        text = ngettext(
            "update {id}, {deletes} delete: sbs diff shows it",
            "update {id}, {deletes} deletes: sbs diff shows it",
            held["deletes"],
        )
        yield _("held"), text.format(id=held["id"], deletes=held["deletes"])
    if found["votes"] is not None:
        yield (
            _("votes"),
            ", ".join(name for name, has in found["votes"].items() if has) or _("none"),
        )
    if found["paused"]:
        yield _("paused"), _("no automatic takeover (sbs resume)")


def _peer(peer: Mapping[str, Any] | None) -> str:
    if peer is None:
        return _("not met since the start")
    if peer["connected"]:
        text = _("{name} at {address}: {role}, connected")
    else:
        text = _("{name} at {address}: not connected")
    return text.format(name=peer["name"], address=peer["address"], role=_(peer["role"]))


def _step(found: Status) -> str:
    """What a secondary that holds a complete generation means, while newer changes are stuck."""
    if found["held"] is not None:
        return _("{generation}, in step but for what is held")
    if found["alarms"]:
        from sbs.core.alarm import Alarm  # noqa: PLC0415 - slow, and rarely needed

        if any(alarm["code"] == Alarm.UPDATE_FAILED for alarm in found["alarms"]):
            return _("{generation}, in step but for an update that failed")
    return _("{generation}, in step")


def _security(found: Mapping[str, Any]) -> str:
    """How the connection to the peer is protected; the alarm says where it should be."""
    if not found["tls"]:
        return _("no TLS: neither encrypted nor authenticated")
    text = _("TLS 1.3, certificates until {date} (sbs pair --show)")
    return text.format(date=found["expires"])


def _licence(found: Mapping[str, Any]) -> str:
    """Kind, holder, end, and what it makes of the services; the alarm says why."""
    parts = [_("none that counts")]
    if found["kind"] is not None:
        text = _("{kind}, {holder}, serial {serial}")
        if found["expires"] is not None:
            text = _("{kind}, {holder}, serial {serial}, until {expires}")
        parts = [text.format(**found)]
        if found["problem"]:
            parts.append(_("it does not count any more"))
    if found["refusal"]:
        parts.append(_("services are withheld"))
    elif found["granted"]:
        parts.append(_("services run in place of a failed primary"))
    return "; ".join(parts)


def _conflicts(found: Status) -> Iterator[str]:
    """The files kept in quarantine, as far as a person reads on."""
    for each in found["conflicts"][:MAX_CONFLICTS_LISTED]:
        yield _("{folder}/{path} of {node}, kept as {kept}").format(**each)
    further = found["conflict_count"] - MAX_CONFLICTS_LISTED
    if further > 0:
        yield _("and {count} more; see --json").format(count=further)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))
