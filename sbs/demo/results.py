"""What the demo found: the steps, the figures, and whether every check held."""

from __future__ import annotations

from typing import Any

import attrs

from sbs.errors import SbsError


class DemoError(SbsError):
    """A check of the demo failed; the text says which and what was seen."""

    remedy = "Run it again with --keep, and read the logs that it names."


@attrs.define(kw_only=True)
class Figures:
    """What was measured; ``None``: it did not come to that.

    Args:
        replication_ms: from a change on the primary until it stands on the secondary, median.
        replication_max_ms: the slowest of them.
        takeover_ms: from the kill until the service answers on the other node.
        catch_up_ms: from the start of the old primary until its files equal the new one's.
        switchover_gap_ms: from the last answer on one node to the first on the other.
        generations: number of the last generation.
        epochs: the fencing numbers the service was started with, in order.
        files: files compared byte for byte after the takeover.
    """

    replication_ms: float | None = None
    replication_max_ms: float | None = None
    takeover_ms: float | None = None
    catch_up_ms: float | None = None
    switchover_gap_ms: float | None = None
    generations: int = 0
    epochs: tuple[int, ...] = ()
    files: int = 0


@attrs.frozen(kw_only=True)
class StepResult:
    """How one step ended: ``text`` is what it showed, or why it failed."""

    name: str
    ok: bool
    duration_ms: float
    text: str


@attrs.frozen(kw_only=True)
class Result:
    """How the demo ended.

    Args:
        steps: those that were begun.
        error: why it failed; empty if every check held.
        interrupted: number of the signal that ended it, 0 if none did.
        kept: the directory with everything the nodes wrote, if it was kept.
        logs: last lines of each node's log, by name; of a demo that failed.
    """

    steps: tuple[StepResult, ...]
    figures: Figures
    duration_s: float
    error: str = ""
    interrupted: int = 0
    kept: str | None = None
    logs: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every check held."""
        return not self.error and not self.interrupted

    @property
    def exit_code(self) -> int:
        """0, 1, or what a shell makes of a signal."""
        if self.interrupted:
            return 128 + self.interrupted
        return 0 if self.ok else 1

    def to_json(self) -> dict[str, Any]:
        """The object that ``sbs demo --json`` prints."""
        return {
            "ok": self.ok,
            **attrs.asdict(self.figures),
            "duration_s": self.duration_s,
            "steps": [attrs.asdict(step) for step in self.steps],
            "error": self.error,
            "kept": self.kept,
        }
