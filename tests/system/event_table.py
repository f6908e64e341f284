"""The table of ``docs/roles.md``: what happens at an event, under a policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from sbs.core.claim import Policy
from tests.support import ROOT

if TYPE_CHECKING:
    from tests.system.scene import Scene

PAGE: Final = ROOT / "docs" / "roles.md"

HEADING: Final = "## What happens"

NOT_APPLICABLE: Final = "(none)"
"""A cell about a witness, under a policy that has none."""

Play: TypeAlias = "Callable[[Scene], None]"


@attrs.frozen
class Cell:
    """One cell of the table, as the page has it."""

    event: str
    policy: Policy
    text: str

    @property
    def alarms(self) -> list[str]:
        """The alarms that it names."""
        return re.findall(r"alarm `([a-z-]+)`", self.text)


@attrs.frozen
class Row:
    """A row of the table, played on real nodes.

    Args:
        event: as the page has it.
        says: the page's words for each policy: who changes them looks at the play, too.
        variants: of the event, where the row says "or"; one that names the witness is for
            ``quorum`` alone.
        play: does it, and compares.
    """

    event: str
    says: Mapping[Policy, str]
    variants: Sequence[str]
    play: Play

    def variants_under(self, policy: Policy) -> list[str]:
        """The variants that there are under a policy."""
        quorum = policy is Policy.QUORUM
        return [variant for variant in self.variants if quorum or "witness" not in variant]


def row(
    event: str,
    *,
    availability: str,
    protect: str,
    quorum: str,
    variants: Sequence[str] = ("",),
) -> Callable[[Play], Row]:
    """Make a function the play of a row; arguments as in :class:`Row`."""
    says = {
        Policy.AVAILABILITY: availability,
        Policy.PROTECT: protect,
        Policy.QUORUM: quorum,
    }
    return lambda play: Row(event, says, variants, play)


def rows_in(*modules: ModuleType) -> dict[str, Row]:
    """The rows that are played in some modules, by event."""
    values = (value for module in modules for value in vars(module).values())
    return {value.event: value for value in values if isinstance(value, Row)}


def read_cells() -> list[Cell]:
    """The table, row by row."""
    section = PAGE.read_text(encoding="utf-8").partition(f"{HEADING}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    header, _, *rows = [[word.strip() for word in line[1:-1].split("|")] for line in lines]
    policies = [Policy(name.strip("`")) for name in header[1:]]
    return [
        Cell(event, policy, text)
        for event, *texts in rows
        for policy, text in zip(policies, texts, strict=True)
    ]
