"""One service of the adapter ``command``: what is known of it, and the commands that act on it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs
import trio

from sbs.adapters import commands
from sbs.adapters.commands import Finished
from sbs.errors import ServiceError
from sbs.log import ERROR, INFO, WARNING, Log
from sbs.ports import ServiceState, Unit

START_BOUND_S: Final = 90.0
"""How long a start command may take; as long as systemd waits by default."""

STATUS_BOUND_S: Final = 10.0
"""How long a status command may take: it only looks."""

SETTLE_S: Final = 5.0
"""How long a started service may take until its status command says that it runs."""

KILL_BOUND_S: Final = 5.0
"""How long a service may go on after its grace: the stop command needs a moment to use force."""

STRAY_GRACE_S: Final = 5.0
"""The grace of a service that runs although SBS did not start it."""

LOOK_S: Final = 0.1
"""From one look to the next while a start or an end is waited for."""

MAX_DETAIL_CHARS: Final = 200
"""Of a command's output that is shown; the log has it all."""

_log = Log(__name__)
_STRAY = _log.event(
    "command-service-stray",
    WARNING,
    "service {service} runs, and SBS has not started it: stopped",
    "Somebody else starts it, by hand or at the boot. Take that away: while the other "
    "node leads, it must not run here.",
)
_DOWN = _log.event(
    "command-service-down",
    INFO,
    "service {service} does not run: {detail}",
    "Its status command says so. If nobody stopped it, it is started again, as "
    "`services.restart_limit` lets it.",
)
_DOUBT = _log.event(
    "command-status-unknown",
    ERROR,
    "{error}; it counts as before",
    "The status command of this service does not tell whether it runs. Run it by hand; "
    "its exit code has to.",
)
_SAID = _log.event(
    "command-service-said",
    INFO,
    "service {service}: {line}",
    "A line that a command of this service has written. What it means, its author knows.",
)


@attrs.define(kw_only=True, eq=False)
class Commanded:
    """A unit and what became of it; its methods are for whoever holds ``lock``.

    Args:
        unit: with its three commands.
        changed: called when ``state`` is another.
        active: started, and not stopped by an operator (R32).
        running: as the last look found it.
        detail: how that came about.
        environment: of the last start; stop and status commands get it, too.
        unsettled: a start has begun, and it is not known what came of it.
        overdue: a deadline that has passed and was not acted upon, and its grace.
        scope: of the start or look under way, which a stop cuts short.
        doubt: why the last look failed; empty: it did not.
    """

    unit: Unit
    changed: Callable[[], None]
    active: bool = False
    running: bool = False
    detail: str = ""
    environment: Mapping[str, str] = attrs.field(factory=dict[str, str])
    unsettled: bool = False
    overdue: tuple[float, float] | None = None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    doubt: str = ""
    lock: trio.Lock = attrs.field(factory=trio.Lock)

    @property
    def state(self) -> ServiceState:
        """What others see of it."""
        return ServiceState(active=self.active, running=self.running, detail=self.detail)

    @property
    def may_matter(self) -> bool:
        """Whether something of it runs, or should, as far as is known."""
        return self.active or self.running or self.unsettled

    def set(
        self, *, active: bool | None = None, running: bool | None = None, detail: str | None = None
    ) -> None:
        """Change the state; what is left out stays."""
        before = self.state
        self.active = before.active if active is None else active
        self.running = before.running if running is None else running
        self.detail = before.detail if detail is None else detail
        if self.state != before:
            self.changed()

    async def start(self, environment: Mapping[str, str]) -> None:
        """Run the start command, unless it runs; nothing half-started stays behind.

        Raises:
            ServiceError: the command failed, or nothing runs after it.
        """
        name = self.unit.name
        if await self.look():
            if self.active and not self.unsettled:
                return
            await self.end_stray()
        self.environment, self.unsettled = {**environment}, True
        try:
            done = await self._run(self.unit.start, START_BOUND_S)
            self._log(done)
            if done.failure:
                raise ServiceError(self._failure("start", self.unit.start, done))
            if not await self._wait(running=True, bound_s=SETTLE_S):
                status = shlex.join(self.unit.status)
                raise ServiceError(
                    f"service {name!r}: its start command succeeded, but {status} does not say "
                    f"within {SETTLE_S:g} s that it runs"
                )
        except ServiceError:
            await self.end(0.0)
            raise
        self.unsettled = False
        self.set(active=True, running=True, detail="running")

    async def end(self, grace_s: float) -> None:
        """Run the stop command; return when the status command says that nothing runs.

        Args:
            grace_s: 0 or more, told to the command as ``SBS_GRACE_S``.

        Raises:
            ServiceError: something still runs, or nobody knows.
        """
        bound_s = grace_s + KILL_BOUND_S
        bound_at = trio.current_time() + bound_s
        done = await self._run(self.unit.stop, bound_s, SBS_GRACE_S=f"{grace_s:g}")
        self._log(done)
        left_s = max(0.0, bound_at - trio.current_time())
        if not await self._wait(running=False, bound_s=left_s):
            text = self._failure("stop", self.unit.stop, done)
            raise ServiceError(f"{text}, and it still runs")
        self.unsettled = False

    async def end_stray(self) -> None:
        """End what runs although this SBS has not started it: a person has, or the SBS before.

        Raises:
            ServiceError: as :meth:`end`.
        """
        _STRAY(service=self.unit.name)
        await self.end(STRAY_GRACE_S)

    async def look(self) -> bool:
        """Whether it runs.

        Raises:
            ServiceError: its status command does not tell.
        """
        done = await self._run(self.unit.status, STATUS_BOUND_S)
        if done.code is None or done.code < 0:
            raise ServiceError(self._failure("status", self.unit.status, done))
        self.doubt = ""
        if done.code == 0:
            self.set(running=True)
            return True
        if self.running:  # else it says already how that came about
            detail = f"its status command {done.failure}{_said(done)}"
            _DOWN(service=self.unit.name, detail=detail)
            self.set(running=False, detail=detail)
        return False

    async def may_run(self) -> bool:
        """Whether it runs; what is not known counts as running."""
        if self.unsettled:
            return True
        try:
            return await self.look()
        except ServiceError as error:
            self.note_doubt(str(error))
            return True

    def note_doubt(self, text: str) -> None:
        """A look has failed: the last state counts until one succeeds; said once."""
        if self.doubt != text:
            _DOUBT(error=text)
        self.doubt = text

    async def _wait(self, *, running: bool, bound_s: float) -> bool:
        """Look until it runs, or does not; false if the time is over before."""
        bound_at = trio.current_time() + bound_s
        while await self.look() is not running:
            if trio.current_time() >= bound_at:
                return False
            await trio.sleep(LOOK_S)
        return True

    async def _run(self, argv: Sequence[str], timeout_s: float, **extra: str) -> Finished:
        environment = {**self.environment, "SBS_SERVICE": self.unit.name, **extra}
        return await commands.run(argv, environment, timeout_s)

    def _log(self, done: Finished) -> None:
        for data in (done.printed, done.complaints):
            for line in data.decode(errors="replace").splitlines():
                _SAID(service=self.unit.name, line=ascii(line)[1:-1])

    def _failure(self, what: str, argv: Sequence[str], done: Finished) -> str:
        how = done.failure or "succeeded"
        return (
            f"service {self.unit.name!r}: its {what} command {shlex.join(argv)} {how}{_said(done)}"
        )


def _said(done: Finished) -> str:
    """The last line of what a command wrote, for one line of text."""
    lines = (done.printed + b"\n" + done.complaints).decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {ascii(last)[1:-1][:MAX_DETAIL_CHARS]}" if last else ""
