"""``sbs completion``."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from sbs.cli.help import VerbatimCommand

SHELLS: Final = ("bash", "zsh", "fish", "powershell")

VARIABLE: Final = "_SBS_COMPLETE"
"""By which the script asks ``sbs`` for proposals; click derives it from the name."""

_EPILOG: Final = """\
Examples:
  source <(sbs completion bash)                       in ~/.bashrc
  source <(sbs completion zsh)                        in ~/.zshrc, after compinit
  sbs completion fish > ~/.config/fish/completions/sbs.fish
  sbs completion powershell | Out-String | iex        in $PROFILE"""


@click.command(cls=VerbatimCommand, epilog=_EPILOG)
@click.argument(
    "shell",
    metavar="SHELL",
    type=click.Choice(SHELLS),
    help="That shall complete: bash, zsh, fish or powershell.",
)
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script by which a shell completes commands of SBS.

    It proposes commands and options, and values that can be told at once: configurations,
    services, folders, versions, held updates. Changes nothing.
    """
    script = get_completion_class(shell)
    assert script is not None, shell  # noqa: S101 - click has these four
    click.echo(script(ctx.find_root().command, {}, "sbs", VARIABLE).source(), nl=False)
