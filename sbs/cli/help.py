"""Help texts whose end is printed as it is written: examples must keep their lines."""

from __future__ import annotations

import click


def _write(epilog: str | None, formatter: click.HelpFormatter) -> None:
    if epilog:
        formatter.write_paragraph()
        for line in epilog.splitlines():
            formatter.write(f"{line}\n")


class VerbatimCommand(click.Command):
    """A command whose epilog is not wrapped."""

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the epilog, line by line."""
        _write(self.epilog, formatter)


class VerbatimGroup(click.Group):
    """A group whose epilog is not wrapped."""

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the epilog, line by line."""
        _write(self.epilog, formatter)
