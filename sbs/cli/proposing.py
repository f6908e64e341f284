"""What every proposal of a shell keeps to: it comes at once, or not at all, and is only a name.

Whoever presses the tabulator waits for nothing and reads no error: each look is bounded, and one
that fails proposes nothing.
"""

from __future__ import annotations

import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import click
from click.shell_completion import CompletionItem

from sbs.cli.text import plain

BOUND_S: Final = 1.0
"""Longest time of a look: what a disk or a node does not tell by then is not waited for."""

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
