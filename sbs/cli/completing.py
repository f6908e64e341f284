"""What a shell proposes for values: names that files and the running node tell at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from sbs.cli.locating import locate
from sbs.cli.options import find_state_dir
from sbs.cli.proposing import bounded
from sbs.errors import SbsError
from sbs.runtime.operating import client

ANSWER_S: Final = 0.3
"""How long the node may take to answer, so that there is time for what the files say."""


@bounded
def services(ctx: click.Context, _: str) -> Iterator[CompletionItem[str]]:
    """The services of the configuration, and those of a pattern that the node knows."""
    names = [unit["name"] for unit in _table(ctx).get("services", {}).get("unit", ())]
    with suppress(SbsError):
        found = _ask(ctx, "status")["services"]
        names += [*found["wanted"], *found["active"]]
    for name in dict.fromkeys(names):
        if not any(sign in name for sign in "*?["):
            yield CompletionItem(name)


@bounded
def folders(ctx: click.Context, _: str) -> Iterator[CompletionItem[str]]:
    """The folders of the node, which may have learned of some; else of the configuration."""
    try:
        found = _ask(ctx, "folders")["folders"]
    except SbsError:
        found = {each["name"]: each["path"] for each in _table(ctx).get("folders", ())}
    for name, path in found.items():
        yield CompletionItem(name, help=path)


@bounded
def held_updates(ctx: click.Context, _: str) -> Iterator[CompletionItem[str]]:
    """The id of the update that the guard holds."""
    held = _ask(ctx, "status")["held"]
    if held is not None:
        yield CompletionItem(held["id"], help=f"{held['deletes']} deletes")


@bounded
def generations(ctx: click.Context, _: str) -> Iterator[CompletionItem[str]]:
    """After which generations there is a version of PATH, the newest first; of a running node."""
    from sbs.replication.files.places import Places  # noqa: PLC0415 - slow
    from sbs.replication.former import past  # noqa: PLC0415 - slow

    found = _ask(ctx, "folders")["folders"]
    typed = ctx.params["path"] or ctx.args[0]  # where the option's value is still to come
    folder, path = locate(found, typed, ctx.params["folder_name"])
    with Places([found[folder]]) as places:
        for change in reversed(past.versions_of(places, 0, path)):
            at = datetime.fromtimestamp(change.mtime_ns / 1e9).astimezone()
            yield CompletionItem(str(change.mark.after), help=at.isoformat(" ", "seconds"))


def _table(ctx: click.Context) -> dict[str, Any]:
    """The configuration as it stands there, right or wrong."""
    with open(ctx.params["config_path"], "rb") as file:
        return tomllib.load(file)


def _ask(ctx: click.Context, command: str) -> Any:
    state_dir = find_state_dir(ctx.params["config_path"])
    return client.ask(state_dir, command, timeout_s=ANSWER_S)
