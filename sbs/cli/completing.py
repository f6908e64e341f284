"""What a shell proposes for values: names that files and the running node tell at once.

Whoever presses the tabulator waits for nothing and reads no error: each look is bounded, and one
that fails proposes nothing.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from sbs.cli.text import plain
from sbs.errors import SbsError
from sbs.runtime.operating import client

BOUND_S: Final = 1.0
"""Longest time of a look: what a disk or a node does not tell by then is not waited for."""

ANSWER_S: Final = 0.3
"""How long the node may take to answer, so that there is time for what the files say."""

MAX_PROPOSED: Final = 100
"""Of one look: a terminal shows no more."""

MAX_ENTRIES: Final = 10_000
"""Of a directory that is looked through for configurations."""

_SAFE: Final = re.compile(r"[\w./][\w./:@%+=-]*")
"""A name that is nothing but a name to each of the shells, although bash and PowerShell put it on
the line as it is: whoever presses Enter runs nothing that another has called a file or a service.
"""

Look = Callable[[click.Context, str], Iterator[CompletionItem[str]]]

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]


def bounded(look: Look) -> Complete:
    """Make of a look, which may fail and hang, what click's ``shell_complete`` takes.

    Args:
        look: for values; it gets the context of the command and what is typed so far.
    """

    def complete(
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG001 - click's signature
        incomplete: str,
    ) -> list[CompletionItem[str]]:
        found: list[CompletionItem[str]] = []

        def work() -> None:
            with suppress(Exception):
                fitting = (each for each in look(ctx, incomplete) if _fits(each, incomplete))
                for item in itertools.islice(fitting, MAX_PROPOSED):
                    item.help = item.help and plain(item.help)
                    found.append(item)

        thread = threading.Thread(target=work, daemon=True)  # it ends with the program
        thread.start()
        thread.join(BOUND_S)
        return found.copy()

    return complete


def _fits(item: CompletionItem[str], incomplete: str) -> bool:
    """Whether it goes on as it is typed, and no shell finds more in it than a name."""
    if item.type != "plain":  # the shell's own proposals, for what is typed
        return item.value.isprintable()
    return item.value.startswith(incomplete) and _SAFE.fullmatch(item.value) is not None


@bounded
def config_files(_: click.Context, incomplete: str) -> Iterator[CompletionItem[str]]:
    """The files ``*.toml`` of the directory; where there is none, what the shell has."""
    directory = os.path.dirname(incomplete)
    with os.scandir(directory or os.curdir) as entries:
        names = [entry.name for entry in itertools.islice(entries, MAX_ENTRIES)]
    paths = [os.path.join(directory, name) for name in sorted(names) if name.endswith(".toml")]
    fitting = [path for path in paths if path.startswith(incomplete) and _SAFE.fullmatch(path)]
    yield from map(CompletionItem, fitting)
    if not fitting:
        yield CompletionItem(incomplete, type="file")


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
    from sbs.cli.versions import locate  # noqa: PLC0415 - slow
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
    from sbs.cli.options import find_state_dir  # noqa: PLC0415 - which proposes by this module

    state_dir = find_state_dir(ctx.params["config_path"])
    return client.ask(state_dir, command, timeout_s=ANSWER_S)
