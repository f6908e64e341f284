"""What the steps of the demo work with: two nodes, their files, and who watches the service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import attrs
import trio

from sbs.demo.files import Files
from sbs.demo.members import Member, free_ports
from sbs.demo.observer import Observer
from sbs.demo.results import DemoError, Figures
from sbs.errors import NotRunningError

WAIT_S: Final = 15.0
"""How long anything awaited may take: far longer than it needs, but not for ever."""

POLL_S: Final = 0.01
"""Pause between two looks at a node's status."""


@attrs.frozen(kw_only=True)
class Stage:
    """The nodes ``alpha`` and ``beta`` and all that belongs to them.

    Args:
        nursery: of what runs beside the steps.
        show: tells the spectators how a step gets on.
    """

    alpha: Member
    beta: Member
    files: Files
    observer: Observer
    figures: Figures
    nursery: trio.Nursery
    show: Callable[[str], None]

    async def reach(self, member: Member, role: str) -> dict[str, Any]:
        """Wait until a node has a role, and is in step if it is the secondary."""
        with limit(f"{member.name} is {role}"):
            while True:
                try:
                    status = await member.status()
                except NotRunningError:  # not yet
                    status = {}
                in_step = role != "secondary" or status.get("in_step")
                if status.get("role") == role and in_step:
                    return status
                await trio.sleep(POLL_S)


@contextmanager
def limit(what: str) -> Generator[None, None, None]:
    """Give up after :data:`WAIT_S`.

    Raises:
        DemoError: it names what was awaited.
    """
    try:
        with trio.fail_after(WAIT_S):
            yield
    except trio.TooSlowError as error:
        raise DemoError(f"not within {WAIT_S:g} s: {what}") from error


async def until(condition: Callable[[], bool], what: str, pause_s: float = POLL_S) -> None:
    """Wait until ``condition`` holds.

    Raises:
        DemoError: it does not within :data:`WAIT_S`.
    """
    with limit(what):
        while not condition():  # noqa: ASYNC110 - files change, no event tells of it
            await trio.sleep(pause_s)


async def run_sbs(*arguments: str) -> None:
    """Run a command as a person would, to its end.

    Raises:
        DemoError: it failed; the text has what it said.
    """
    command = [sys.executable, "-m", "sbs", *arguments]
    with limit(f"sbs {arguments[0]} is done"):
        done = await trio.run_process(
            command,
            stdin=subprocess.DEVNULL,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise DemoError(f"sbs {arguments[0]} ended with code {done.returncode}: {said}")


@asynccontextmanager
async def open_stage(
    base: str, members: list[Member], show: Callable[[str], None]
) -> AsyncGenerator[Stage, None]:
    """Set the stage in directory ``base``; leaving it ends every process.

    Args:
        base: an empty directory.
        members: is given the nodes; their logs outlive the stage.
        show: see :class:`Stage`.

    Raises:
        DemoError: there is no room for it; on leaving: a process survives even SIGKILL.
    """
    one, other, web_one, web_other = free_ports(4)
    alpha = Member(base, "alpha", port=one, peer_port=other, service_port=web_one, priority=200)
    beta = Member(base, "beta", port=other, peer_port=one, service_port=web_other, priority=100)
    members += [alpha, beta]
    observer = Observer({member.name: member.service_port for member in members})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(observer.run)
        stage = Stage(
            alpha=alpha,
            beta=beta,
            files=Files(),
            observer=observer,
            figures=Figures(),
            nursery=nursery,
            show=show,
        )
        try:
            yield stage
        finally:
            stuck: list[str] = []
            with trio.CancelScope(shield=True):
                stuck += [text for member in members if (text := await member.end())]
            nursery.cancel_scope.cancel()
            if stuck:
                raise DemoError("; ".join(stuck))
