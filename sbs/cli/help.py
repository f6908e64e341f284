"""Help texts whose end is printed as it is written: examples must keep their lines."""

from __future__ import annotations

from typing import Final

import click

MAX_SUMMARY_CHARS: Final = 62
"""Of a command in the list of all: what a terminal of 80 columns has beside the names."""


def _write(epilog: str | None, formatter: click.HelpFormatter) -> None:
    if epilog:
        formatter.write_paragraph()
        for line in epilog.splitlines():
            formatter.write(f"{line}\n")


class VerbatimCommand(click.Command):
    """A command whose epilog is not wrapped."""

    def get_short_help_str(self, limit: int = MAX_SUMMARY_CHARS) -> str:
        """The first sentence of the help."""
        return super().get_short_help_str(limit)

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the epilog, line by line."""
        _write(self.epilog, formatter)


class VerbatimGroup(click.Group):
    """A group whose epilog is not wrapped."""

    def get_short_help_str(self, limit: int = MAX_SUMMARY_CHARS) -> str:
        """The first sentence of the help."""
        return super().get_short_help_str(limit)

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the epilog, line by line."""
        _write(self.epilog, formatter)
