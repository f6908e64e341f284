"""Commands about the replicated folders."""

from __future__ import annotations

import os

import click

from sbs.cli.help import VerbatimCommand
from sbs.cli.options import config_option, load_config
from sbs.cli.text import plain
from sbs.errors import SbsError

_EPILOG = """\
Example:
  sbs explain /srv/app/settings/cache/old.tmp -c alpha.toml"""


@click.command(cls=VerbatimCommand, epilog=_EPILOG)
@click.argument("path")
@config_option
def explain(path: str, config_path: str) -> None:
    """Say whether PATH is replicated, and which filter rule decides that.

    Looks at the configuration alone, no node needs to run. PATH need not exist; end it with "/"
    if a directory is meant that does not. Fails if PATH lies in none of the folders.
    """
    from sbs.core.filters import Filter  # noqa: PLC0415 - slow

    config = load_config(config_path)
    is_directory = path.endswith("/") or (os.path.isdir(path) and not os.path.islink(path))
    wanted = _real(path)
    for folder in config.folders:
        root = os.path.realpath(folder.path)
        name = plain(folder.name)
        if os.path.realpath(path) == root:
            click.echo(f"included: {plain(path)} is the folder {name} itself")
            return
        if os.path.commonpath([wanted, root]) != root:
            continue
        inner = os.path.relpath(wanted, root)
        decision = Filter.parse(folder.filters).explain(inner, is_directory)
        verdict = "included" if decision.included else "excluded"
        reason = (
            f"rule {decision.number} of folder {name}: {plain(decision.rule)}"
            if decision.number
            else f"no rule of folder {name} matches"
        )
        click.echo(f"{verdict}: {plain(inner)}: {reason}")
        return
    folders = ", ".join(folder.path for folder in config.folders) or "none"
    raise SbsError(f"{path}: in none of the folders of {config_path}, which are: {folders}")


def _real(path: str) -> str:
    """``path`` without symbolic links on the way; the last component may be one, as it is sent."""
    directory, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(directory), name)
