"""Runs the steps, and whatever happens leaves nothing behind."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Final

import trio

from sbs.demo.members import Member
from sbs.demo.report import Reporter
from sbs.demo.results import Figures, Result, StepResult
from sbs.demo.stage import Stage, open_stage
from sbs.demo.steps import STEPS, Step
from sbs.errors import SbsError

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends the demo early: Ctrl-C, a polite kill, and the end of the terminal."""

PREFIX: Final = "sbs-demo-"
"""How the demo's directory begins, in the directory for temporary files."""


async def run_demo(reporter: Reporter, *, keep: bool = False) -> Result:
    """Run the demo from the main thread of a process.

    Args:
        reporter: is told how it gets on; its summary is the caller's to ask for.
        keep: whether configurations, logs and folders stay.

    Returns:
        what was found; everything that was started has ended, and the directory is removed.
    """
    demo = _Demo(reporter)
    # A signal that is ignored was meant to be: nohup, or a background job of a plain shell.
    numbers = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
    with trio.open_signal_receiver(*numbers) as received:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(demo.heed, received)
            await demo.run(keep)
            nursery.cancel_scope.cancel()
    return demo.result()


class _Demo:
    """One run and what is known of it so far."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._began_at = trio.current_time()
        self._steps: list[StepResult] = []
        self._step: Step | None = None
        self._step_began_at = self._began_at
        self._members: list[Member] = []
        self._figures = Figures()
        self._errors: list[str] = []
        self._interrupted = 0
        self._kept: str | None = None
        self._scope = trio.CancelScope()

    async def heed(self, received: AsyncIterator[int]) -> None:
        """End the demo at a signal; more of them change nothing, the end is under way."""
        async for number in received:
            self._interrupted = self._interrupted or number
            self._scope.cancel()

    async def run(self, keep: bool) -> None:
        """Perform the steps until one fails; end and remove everything."""
        try:
            with self._directory(keep) as base, self._scope:
                async with open_stage(base, self._members, self._reporter.progress) as stage:
                    self._figures = stage.figures
                    for step in STEPS:
                        if self._reporter.failure is None:
                            await self._perform(step, stage)
        except* (SbsError, OSError) as group:
            self._errors += _texts(group)
        if self._errors and self._step is not None:
            self._end_step(self._step, "; ".join(self._errors), ok=False)

    @contextmanager
    def _directory(self, keep: bool) -> Generator[str, None, None]:
        base = tempfile.mkdtemp(prefix=PREFIX)
        try:
            yield base
        finally:
            if keep:
                self._kept = base
                for member in self._members:
                    member.save_log()
            else:
                shutil.rmtree(base)

    async def _perform(self, step: Step, stage: Stage) -> None:
        self._step, self._step_began_at = step, trio.current_time()
        self._reporter.began(step.title)
        text = await step.run(stage)
        self._end_step(step, text, ok=True)

    def _end_step(self, step: Step, text: str, *, ok: bool) -> None:
        duration_ms = round((trio.current_time() - self._step_began_at) * 1000, 1)
        done = StepResult(name=step.name, ok=ok, duration_ms=duration_ms, text=text)
        self._steps.append(done)
        self._step = None
        self._reporter.ended(done)

    def result(self) -> Result:
        """What was found."""
        failed = bool(self._errors)
        return Result(
            steps=tuple(self._steps),
            figures=self._figures,
            duration_s=round(trio.current_time() - self._began_at, 2),
            error="; ".join(dict.fromkeys(self._errors)),
            interrupted=self._interrupted,
            kept=self._kept,
            logs=tuple((each.name, tuple(each.lines)) for each in self._members) if failed else (),
        )


def _texts(group: BaseExceptionGroup[SbsError | OSError]) -> list[str]:
    found: list[str] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            found += _texts(error)
        else:
            found.append(str(error))
    return found
