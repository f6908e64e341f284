"""What SBS knows of one service of the service manager, and what it has begun with it."""

from __future__ import annotations

import attrs
import trio

from sbs.adapters.services.windows.calls import Job
from sbs.adapters.services.windows.status import PROCESS_ABORTED, ServiceStatus, State
from sbs.ports import ServiceState

_STARTED = frozenset({State.RUNNING, State.PAUSED, State.PAUSE_PENDING, State.CONTINUE_PENDING})


@attrs.define(kw_only=True, eq=False)
class Ending:
    """A stop under way; nothing takes it back.

    Args:
        grace: what is done while it may end in order; over at its deadline.
        done: it was tried to the end.
        failure: why something may still run; empty: nothing does.
    """

    grace: trio.CancelScope
    done: trio.Event = attrs.field(factory=trio.Event)
    failure: str = ""


@attrs.define(kw_only=True, eq=False)
class Life:
    """A unit and what became of it.

    Args:
        name: of the unit, and short name of the service.
        status: as it was last seen.
        active: started, and not stopped by an operator (R32).
        note: said of it while it does not run, instead of its status.
        launches: counts starts, to recognize what was seen before one.
        is_launching: the service manager is starting it at this moment.
        adopted_pid: the process that was put into ``job``.
        job: its processes.
        ending: a stop under way.
        starting: held by who starts it.
        looking: held by who looks at it: each process is adopted once.
        trouble: logged already.
    """

    name: str
    status: ServiceStatus = attrs.field(factory=lambda: ServiceStatus(state=State.STOPPED))
    active: bool = False
    note: str = "not started"
    launches: int = 0
    is_launching: bool = False
    adopted_pid: int = 0
    job: Job | None = None
    ending: Ending | None = None
    starting: trio.Lock = attrs.field(factory=trio.Lock)
    looking: trio.Lock = attrs.field(factory=trio.Lock)
    trouble: str = ""

    @property
    def state(self) -> ServiceState:
        """What others see of it."""
        running = self.status.state is not State.STOPPED
        detail = self.status.describe() if running or not self.note else self.note
        return ServiceState(active=self.active, running=running, detail=detail)

    @property
    def is_gone(self) -> bool:
        """Whether, as last seen, nothing of it runs or is about to."""
        stopped = self.status.state is State.STOPPED and not self.is_launching
        return stopped and self._has_no_process

    def take_in(self, status: ServiceStatus) -> bool:
        """Learn how the service stands, as the service manager says.

        Returns:
            whether others see a change.
        """
        if status.state is State.STOPPED:
            self.adopted_pid = 0  # the next process may have this number
        elif self._outlived(status):
            status = ServiceStatus(state=State.STOPPED, exit_code=PROCESS_ABORTED)
        before, was_up = self.state, self.status.state is not State.STOPPED
        self.status = status
        if self.ending is None:
            if status.state in _STARTED:
                self.active, self.note = True, ""
            elif status.state is State.STOPPED and was_up:
                # In order, and not by SBS: an operator stopped it. Else it has crashed.
                self.active = self.active and status.failed
        return self.state != before

    def _outlived(self, status: ServiceStatus) -> bool:
        """Whether the process has ended, and the service manager does not say so yet."""
        if self.is_launching:
            return False
        return status.pid in {0, self.adopted_pid} and self._has_no_process

    @property
    def _has_no_process(self) -> bool:
        return self.job is None or self.job.is_empty()

    def adopt(self, pid: int, job: Job | None) -> None:
        """Remember the job of its process; what is left of an earlier one is killed."""
        self.release()
        self.adopted_pid, self.job = pid, job

    def release(self) -> None:
        """Forget its processes; what is left of them is killed."""
        if self.job is not None:
            self.job.close()
        self.adopted_pid, self.job = 0, None
