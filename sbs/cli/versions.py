"""Commands about what updates overwrote and deleted."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from gettext import gettext as _
from typing import TYPE_CHECKING, Any, Final

import click

from sbs.cli import completing
from sbs.cli.forms import json_option, show_object
from sbs.cli.help import VerbatimCommand
from sbs.cli.locating import chosen, locate
from sbs.cli.options import config_option, find_state_dir, load_config
from sbs.cli.text import plain
from sbs.runtime.operating import client

if TYPE_CHECKING:
    from sbs.core.history import History
    from sbs.replication.former.past import Change, Summary
    from sbs.runtime.updating.keeping import Standing

SCHEMA: Final = 1
"""Of the JSON form; it changes when a field changes its meaning or goes."""

_FOLDER = click.option(
    "--folder",
    "folder_name",
    metavar="NAME",
    shell_complete=completing.folders,
    help="PATH is within this folder.",
)

_HISTORY_EPILOG: Final = """\
Examples:
  sbs history
  sbs history /srv/app/settings/main.ini -c beta.toml
  sbs history --folder settings main.ini -c beta.toml"""

_RESTORE_EPILOG: Final = """\
Examples:
  sbs restore /srv/app/settings/main.ini --generation 11
  sbs restore --folder settings main.ini --generation 11 --output old.ini -c beta.toml"""


@click.command(cls=VerbatimCommand, epilog=_HISTORY_EPILOG)
@click.argument(
    "path",
    type=click.Path(),
    required=False,
    help="A file of a folder; without it the generations.",
)
@_FOLDER
@json_option
@config_option
def history(path: str | None, folder_name: str | None, config_path: str, *, as_json: bool) -> None:
    """Show what updates did to the folders, and what is kept of it.

    To find what sbs restore can get back; changes nothing. A secondary keeps what updates
    overwrite and delete, for sync.keep_versions_s seconds. Without PATH: the generations, newest
    first. With PATH: each version of it that is kept, with the number that sbs restore
    --generation takes. Whether the node runs or not.
    """
    with _held(config_path) as (held, _stopped):
        if path is None:
            _show_generations(held, chosen(held.folders, folder_name), as_json)
        else:
            folder, inner = locate(held.folders, path, folder_name)
            _show_versions(held, folder, inner, as_json)


@click.command(cls=VerbatimCommand, epilog=_RESTORE_EPILOG)
@click.argument("path", type=click.Path(), help="A file of a folder, as sbs history names it.")
@click.option(
    "--generation",
    metavar="N",
    shell_complete=completing.generations,
    type=click.IntRange(min=0),
    required=True,
    help="As it was after this one.",
)
@_FOLDER
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(),
    help="Write it to this new file, and change nothing else.",
)
@json_option
@config_option
def restore(
    path: str,
    generation: int,
    folder_name: str | None,
    output: str | None,
    config_path: str,
    *,
    as_json: bool,
) -> None:
    """Get a file back as it was after a generation.

    For what was overwritten or deleted by mistake; sbs history PATH lists what there is. On the
    primary it is put in its place, with its mode and time, and replicated; what stood there is
    kept as a version first. On a secondary that is refused (exit code 4), because the primary's
    file would replace it: use --output FILE.
    """
    with _held(config_path) as (held, stopped):
        folder, inner = locate(held.folders, path, folder_name)
        if output is not None:
            edited, nothing = _write(held, folder, inner, generation, output), False
        else:
            done = _put_back(held, stopped, config_path, folder, inner, generation)
            edited, nothing = done == "edited", done == "nothing"
    if as_json:
        found = {"folder": folder, "path": inner, "generation": generation, "output": output}
        show_object(found | {"changed": not nothing, "edited": edited})
        return
    if output is not None:
        text = _("{place}, as it was after generation {generation}: {output}")
    elif nothing:
        text = _("{place} is still what it was after generation {generation}")
    else:
        text = _("{place} is what it was after generation {generation}")
    place = f"{plain(folder)}/{plain(inner)}"
    click.echo(text.format(place=place, generation=generation, output=plain(output or "")))
    if edited:
        click.echo(
            _("somebody had edited it here by then; what the generation had put is not kept")
        )


@contextmanager
def _held(config_path: str) -> Generator[tuple[Standing, History | None]]:
    """What the node has; and where none runs its history, while it cannot be started."""
    from sbs.runtime.updating import keeping  # noqa: PLC0415 - slow

    try:
        answer = client.ask(find_state_dir(config_path), "folders")
    except client.NoNodeError:
        with keeping.stopped(load_config(config_path)) as found:
            yield found
        return
    yield keeping.Standing.from_json(answer), None


def _put_back(
    held: Standing,
    stopped: History | None,
    config_path: str,
    folder: str,
    path: str,
    generation: int,
) -> str:
    from sbs.cli.acting import ask  # noqa: PLC0415 - as above
    from sbs.runtime.updating import keeping  # noqa: PLC0415 - as above

    if stopped is not None:
        return keeping.restore(held, stopped, folder, path, generation)
    return str(ask(config_path, "restore", folder=folder, path=path, generation=generation))


def _write(held: Standing, folder: str, path: str, generation: int, output: str) -> bool:
    """Write a version to a file; whether it is not what the generation had put, but edited."""
    from sbs.replication.files.places import Places  # noqa: PLC0415 - as above
    from sbs.replication.former import restoring  # noqa: PLC0415 - as above

    with Places([held.folders[folder]]) as places:
        found = restoring.find(places, 0, path, generation, held.newest)
        restoring.write_out(places, 0, found, output)
    return found.edited


def _show_generations(held: Standing, folders: Mapping[str, str], as_json: bool) -> None:
    from sbs.replication.files.places import Places  # noqa: PLC0415 - as above
    from sbs.replication.former import past  # noqa: PLC0415 - as above

    listed: list[dict[str, Any]] = []
    for name, root in folders.items():
        with Places([root]) as places:
            marks = past.marks(places, 0)
            known = (past.summary(places, 0, mark) for mark in reversed(marks))
            found = [each for each in known if each is not None and each.whole]
        if as_json:
            listed.append({"name": name, "path": root, "generations": list(map(_row, found))})
            continue
        total = sum(each.size_bytes for each in found)
        files = sum(each.kept for each in found)
        text = _("{name} ({path}): generations: {count}, versions kept: {kept}, {bytes} bytes")
        where = {"name": plain(name), "path": plain(root)}
        click.echo(text.format(**where, count=len(found), kept=files, bytes=total))
        for each in found:
            click.echo(f"  {_sentence(each)}")
    if as_json:
        show_object({"schema": SCHEMA, "node": held.name, "folders": listed})


def _row(summary: Summary) -> dict[str, Any]:
    mark = summary.mark
    return {
        "generation": mark.number,
        "epoch": str(mark.epoch),
        "restore": mark.restored,
        "at": summary.at,
        "changes": dict(summary.changes),
        "kept": summary.kept,
        "bytes": summary.size_bytes,
    }


def _sentence(summary: Summary) -> str:
    changes = ", ".join(filter(None, map(_count, summary.changes, summary.changes.values())))
    text = _("{generation}  {time}  {changes}; kept: {kept}, {bytes} bytes")
    return text.format(
        generation=summary.mark,
        time=_time(summary.at),
        changes=changes or _("nothing changed"),
        kept=summary.kept,
        bytes=summary.size_bytes,
    )


def _count(kind: str, count: int) -> str:
    match kind:
        case "put":
            text = _("{count} written")
        case "mkdir":
            text = _("{count} directories made")
        case "link":
            text = _("{count} links made")
        case "touch":
            text = _("{count} touched")
        case "delete":
            text = _("{count} deleted")
        case "restore":
            text = _("{count} restored")
        case _:
            return ""
    return text.format(count=count)


def _show_versions(held: Standing, folder: str, path: str, as_json: bool) -> None:
    from sbs.replication.files.places import Places  # noqa: PLC0415 - as above
    from sbs.replication.former import past  # noqa: PLC0415 - as above

    with Places([held.folders[folder]]) as places:
        found = past.versions_of(places, 0, path)
        times = {mark: past.summary(places, 0, mark) for mark in {each.mark for each in found}}
    rows = [_version(each, times[each.mark]) for each in reversed(found)]
    if as_json:
        shown = {"schema": SCHEMA, "node": held.name, "folder": folder, "path": path}
        show_object(shown | {"versions": rows})
        return
    text = _("{path}: versions kept: {count}")
    click.echo(text.format(path=f"{plain(folder)}/{plain(path)}", count=len(rows)))
    for row, change in zip(rows, reversed(found), strict=True):
        text = _("{kind}, {bytes} bytes, of {time}; replaced by {mark}")
        if change.action == "delete":
            text = _("{kind}, {bytes} bytes, of {time}; deleted by {mark}")
        at = "" if row["at"] is None else f", {_time(row['at'])}"
        text = text.format(
            kind=_(row["kind"]),
            bytes=row["bytes"],
            time=_time(row["modified_at"]),
            mark=change.mark,
        )
        click.echo(f"  --generation {row['generation']}  {text}{at}")


def _version(change: Change, summary: Summary | None) -> dict[str, Any]:
    return {
        "generation": change.mark.after,
        "kind": change.kind,
        "bytes": change.size_bytes,
        "modified_at": change.mtime_ns / 1e9,
        "kept": change.kept,
        "replaced_by": change.mark.number,
        "epoch": str(change.mark.epoch),
        "restore": change.mark.restored,
        "action": change.action,
        "at": None if summary is None else summary.at,
    }


def _time(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:.0f} s"
