"""Commands about the replicated folders (B26)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from gettext import gettext as _
from typing import TYPE_CHECKING, Any, Final

import click

from sbs.cli.acting import ask
from sbs.cli.forms import json_option, show_object
from sbs.cli.help import VerbatimCommand
from sbs.cli.locating import real
from sbs.cli.options import config_option, load_config
from sbs.cli.progress import shown
from sbs.cli.text import plain
from sbs.errors import SbsError

if TYPE_CHECKING:
    from sbs.config import Config

_EPILOG = """\
Example:
  sbs explain /srv/app/settings/cache/old.tmp -c alpha.toml"""


@click.command(cls=VerbatimCommand, epilog=_EPILOG)
@click.argument(
    "path", type=click.Path(), help="A file or directory of this machine; it need not exist."
)
@json_option
@config_option
def explain(path: str, config_path: str, *, as_json: bool) -> None:
    """Say whether a path is replicated, and which rule decides.

    Looks at the configuration alone: no node needs to run, nothing changes. End PATH with "/" if
    a directory is meant that does not exist. Exit code 1 if it lies in none of the folders.
    """
    config = load_config(config_path)
    found = _explained(config, path)
    if found is None:
        folders = ", ".join(folder.path for folder in config.folders) or _("none")
        text = _("{path}: in none of the folders of {config}, which are: {folders}")
        raise SbsError(text.format(path=path, config=config_path, folders=folders))
    if as_json:
        show_object(found)
        return
    if not found["path"]:
        verdict = _("included: {path} is the folder {name} itself")
    elif not found["number"]:
        verdict = _("included: {path}: no rule of folder {name} matches")
    elif found["included"]:
        verdict = _("included: {path}: rule {number} of folder {name}: {rule}")
    else:
        verdict = _("excluded: {path}: rule {number} of folder {name}: {rule}")
    click.echo(
        verdict.format(
            path=plain(found["path"] or path),
            number=found["number"],
            name=plain(found["folder"]),
            rule=plain(found["rule"]),
        )
    )


def _explained(config: Config, path: str) -> dict[str, Any] | None:
    """What decides on a path, as scripts read it; ``None`` if it lies in no folder."""
    from sbs.core.filters import Filter  # noqa: PLC0415 - slow

    is_directory = path.endswith("/") or (os.path.isdir(path) and not os.path.islink(path))
    wanted = real(path)
    for folder in config.folders:
        root = os.path.realpath(folder.path)
        if os.path.realpath(path) == root:
            verdict = {"path": "", "included": True, "number": 0, "rule": ""}
        elif os.path.commonpath([wanted, root]) == root:
            inner = os.path.relpath(wanted, root)
            decision = Filter.parse(folder.filters).explain(inner, is_directory)
            verdict = {
                "path": inner,
                "included": decision.included,
                "number": decision.number,
                "rule": decision.rule,
            }
        else:
            continue
        return {"folder": folder.name, **verdict}
    return None


MAX_PATHS_SHOWN: Final = 20
"""In the form for people; --json has more."""

_SIGNS: Final = {"delete": "-", "change": "~", "add": "+", "unsure": "?"}


@click.command(cls=VerbatimCommand, epilog="Examples:\n  sbs diff\n  sbs diff --json -c alpha.toml")
@json_option
@config_option
def diff(config_path: str, as_json: bool) -> None:
    """Show what an update would send now, and send nothing.

    Run it on the primary. Compares its folders with what the secondary holds: what would be
    deleted (-), changed (~) and added (+), and files that were touched (?), which an update reads
    to find out. Says whether the update is held, and why; sbs sync --accept ID then sends it.
    Refused (exit code 4) on the secondary, and without one.
    """
    found = ask(config_path, "diff")
    if as_json:
        show_object(found)
        return
    for line in _preview(found):
        click.echo(line)


MIB: Final = 1024 * 1024


@click.command(cls=VerbatimCommand, epilog="Example:\n  sbs verify --rate 20")
@click.option(
    "--rate",
    metavar="MIB",
    type=click.FloatRange(0),
    default=0.0,
    help="Read at most so many MiB in a second on each node; 0: no limit.",
)
@json_option
@config_option
def verify(config_path: str, rate: float, as_json: bool) -> None:
    """Read all files anew on both nodes, and compare them.

    Run it on the primary, now and then: disks damage files without a word. Whatever differs on
    the secondary is sent again. A file of the primary whose content changed although nothing
    wrote it is named, and left alone on both nodes: the secondary's copy may be the good one.
    Updates go on meanwhile. Exit code 1 if a file of the primary is damaged; refused (exit code
    4) on the secondary, and without one.
    """
    with nullcontext() if as_json else shown(config_path):
        found = ask(config_path, "verify", bytes_s=rate * MIB)
    if as_json:
        show_object(found)
    else:
        for line in found["paths"]:
            click.echo(plain(line))
        text = _(
            "files compared: {files}, bytes: {bytes}; differed on the secondary and were sent "
            "again: {repaired}; damaged on the primary: {damaged}; changed meanwhile: {skipped}"
        )
        click.echo(text.format(**found))
    if found["damaged"]:
        raise SystemExit(SbsError.exit_code)


def _preview(found: Mapping[str, Any]) -> Iterator[str]:
    total = sum(found[key] for key in ("added", "changed", "deleted", "unsure"))
    shown = found["paths"][:MAX_PATHS_SHOWN]
    for each in shown:
        yield f"{_SIGNS[each['change']]} {plain(each['folder'])}/{plain(each['path'])}"
    if total > len(shown):
        yield _("and {count} more").format(count=total - len(shown))
    if total:
        text = _(
            "{deleted} to delete, {changed} to change, {added} to add, {unsure} to look at; "
            "at most {bytes} bytes to send"
        )
        yield text.format(**found)
    else:
        yield _("nothing to send: the secondary has everything")
    held = found["held"]
    if held is not None:
        yield _("held as {id}; nothing of it is sent:").format(id=held["id"])
        for reason in held["reasons"]:
            text = _("folder {name}: {reason}")
            text = text.format(name=plain(reason["folder"]), reason=plain(reason["text"]))
            yield f"  {text}"
        yield _("if it is meant: sbs sync --accept {id}").format(id=held["id"])
        yield _("if it is not: the secondary still has all of it; copy it back from its folder")
