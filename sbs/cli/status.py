"""``sbs status``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

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

_COLOURS: Final = {"primary": "green", "secondary": "cyan", "stopped": "red", "fenced": "red"}

Status = Mapping[str, Any]


@click.command(
    cls=VerbatimCommand, epilog="Examples:\n  sbs status\n  sbs status --json -c alpha.toml"
)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object, for scripts.")
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
        "services": {"active": [], "wanted": [], "restarts": {}},
        "paused": None,  # a node may have been paused and stopped
        "alarms": [],
        "problems": [],
        "notes": [],
        "conflicts": [],
        "conflict_count": 0,
        **dict.fromkeys(("listen", "node_id", "pid", "version")),
    }


def _show_json(found: Status) -> None:
    click.echo(json.dumps(found))


def _show_text(found: Status) -> None:
    role = str(found["role"])
    click.echo(click.style(role.upper(), fg=_COLOURS.get(role, "yellow"), bold=True))
    for label, value in _rows(found):
        click.echo(f"  {label:<12}{plain(value)}")
    for alarm in found["alarms"]:
        text = f"{_moment(alarm['since'])}  {alarm['code']}: {alarm['text']}"
        click.echo(f"  {click.style('alarm', fg='red', bold=True)}       {plain(text)}")
    for problem in found["problems"]:
        click.echo(f"  {'problem':<12}{plain(problem)}")
    for note in found["notes"]:
        click.echo(f"  {'note':<12}{plain(note)}")
    for text in _conflicts(found):
        click.echo(f"  {'conflict':<12}{plain(text)}")


def _rows(found: Status) -> Iterator[tuple[str, str]]:
    yield "node", f"{found['name']} ({found['mode']})"
    if found["role"] == "stopped":
        yield "", "no node is running; start it with: sbs run"
        return
    yield "state", f"{found['state']}, serves {found['listen']}, process {found['pid']}"
    change = found.get("last_change")  # a node of an older release does not tell
    if change is not None:
        yield "since", f"{_moment(change['at'])}: {change['reason']}"
    yield "epoch", f"{found['epoch']} (SBS_EPOCH {found['epoch_token']})"
    in_step = ", in step" if found["in_step"] else ""
    yield "generation", f"{found['generation']}{in_step}"
    peer = found["peer"]
    if peer is None:
        yield "peer", "not met since the start"
    else:
        connected = f"{peer['role']}, connected" if peer["connected"] else "not connected"
        yield "peer", f"{peer['name']} at {peer['address']}: {connected}"
    since = found.get("behind_since")  # a node of an older release does not tell
    if since is not None:
        yield "behind", f"what was written since {_moment(since)} may be missing there"
    if found.get("security") is not None:  # a node of an older release does not tell
        yield "security", _security(found["security"])
    services = found["services"]
    yield "services", ", ".join(services["active"]) or "none active"
    if sorted(services["wanted"]) != sorted(services["active"]):
        yield "", f"a takeover starts: {', '.join(services['wanted']) or 'none'}"
    if services["restarts"]:
        counts = ", ".join(f"{name} {count}" for name, count in services["restarts"].items())
        yield "", f"started again: {counts}"
    if found.get("licence") is not None:  # a node of an older release does not tell
        yield "licence", _licence(found["licence"])
    update = found["last_update"]
    if update is None:
        yield "last update", "none yet"
    else:
        yield (
            "last update",
            f"{_moment(update['at'])}, {update['files']} files, {update['bytes']} bytes, "
            f"{update['duration_s']:.3f} s",
        )
    progress = found["progress"]
    if progress is not None:
        text = words(progress)
        yield "progress", f"{progress['phase']}: {text}" if text else progress["phase"]
    held = found["held"]
    if held is not None:
        yield "held", f"update {held['id']}, {held['deletes']} deletes: sbs diff shows it"
    if found["votes"] is not None:
        yield "votes", ", ".join(name for name, has in found["votes"].items() if has) or "none"
    if found["paused"]:
        yield "paused", "no automatic takeover (sbs resume)"


def _security(found: Mapping[str, Any]) -> str:
    """How the connection to the peer is protected; the alarm says where it should be."""
    if not found["tls"]:
        return "no TLS: neither encrypted nor authenticated"
    return f"TLS 1.3, certificates until {found['expires']} (sbs pair --show)"


def _licence(found: Mapping[str, Any]) -> str:
    """Kind, holder, end, and what it makes of the services; the alarm says why."""
    text = "none that counts"
    if found["kind"] is not None:
        end = "" if found["expires"] is None else f", until {found['expires']}"
        text = f"{found['kind']}, {found['holder']}, serial {found['serial']}{end}"
        text += "; it does not count any more" if found["problem"] else ""
    if found["refusal"]:
        return f"{text}; services are withheld"
    return f"{text}; services run in place of a failed primary" if found["granted"] else text


def _conflicts(found: Status) -> Iterator[str]:
    """The files kept in quarantine, as far as a person reads on."""
    for each in found["conflicts"][:MAX_CONFLICTS_LISTED]:
        yield f"{each['folder']}/{each['path']} of {each['node']}, kept as {each['kept']}"
    further = found["conflict_count"] - MAX_CONFLICTS_LISTED
    if further > 0:
        yield f"and {further} more; see --json"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))
