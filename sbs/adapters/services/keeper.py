"""Part of the fencer: one keeper watches over one run of one service; ``fencer.py`` says how.

Standard library only, and no threads: a fork is only safe without them.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import select
import signal
import sys
import time

MAX_COMMAND_BYTES = 4096
"""Read at once from the pipe to a keeper: some hundred stop requests, each one short line."""

LOOK_S = 0.25
"""How often the time is looked at while some deadline stands: poll's own clock stops in suspend."""

_PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process; the standard library has no name for it."""
    if _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def boottime() -> float:
    """The clock that goes on in suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def kill(pid: int, number: int) -> None:
    """Signal a child that was not reaped yet, so that its id cannot belong to another process."""
    try:
        os.kill(pid, number)
    except PermissionError:
        return  # a set-user-ID program: only waited for, and the port stays held until its end


def listed_children() -> list[int]:
    """This process's children, dead ones included, as the kernel lists them."""
    with open(f"/proc/self/task/{os.getpid()}/children", "rb") as listing:
        return [int(pid) for pid in listing.read().split()]


def scanned_children() -> list[int]:
    """The same from a walk over /proc, for kernels built without CONFIG_PROC_CHILDREN."""
    me = os.getpid()
    found: list[int] = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if int(fields[1]) == me:
            found.append(int(name))
    return found


def children() -> list[int]:
    """This process's children, dead ones included."""
    try:
        return listed_children()
    except FileNotFoundError:
        return scanned_children()


def kill_descendants() -> dict[int, int]:
    """Kill until no child is left; return the wait status of each by process id.

    This process is a subreaper: orphans become its children before their parent can be reaped,
    so having no child proves having no descendant.
    """
    statuses: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                for child in children():
                    kill(child, signal.SIGKILL)
                pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return statuses
        statuses[pid] = status


def leave_fork(status: int) -> None:
    """End a forked process without unwinding into the frames of its parent."""
    if (error := sys.exc_info()[1]) is not None:
        sys.excepthook(type(error), error, error.__traceback__)
    os._exit(status)


def execute(argv: list[str], environment: dict[str, str], keeper_pid: int, errors: int) -> None:
    """In the forked child: become the service, or write why not to ``errors``."""
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == keeper_pid:  # else it died before the line above took effect
            os.execvpe(argv[0], argv, {**os.environ, **environment})  # noqa: S606 - the configured argv
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error)
        os.write(errors, (cause or repr(error)).encode()[:MAX_COMMAND_BYTES])


class Keeper:
    """Watches over one run of one service, in a process of its own."""

    def __init__(self, channel: int, run: int, commands: int) -> None:
        self.channel = channel
        self.run = run
        self.commands = commands
        self.abandoned: bool = False
        self.stop_at: float | None = None
        self.status: int | None = None
        self.failure: str | None = None
        self.pid: int = 0
        self.errors: int = -1

    def keep(self, argv: list[str], environment: dict[str, str]) -> None:
        """Start the service, report, and return when nothing of it is left."""
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        wakeup, wakeup_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        try:
            self.spawn(argv, environment)
            self.watch(wakeup)
        except OSError as error:  # no process, memory or descriptor to be had
            self.failure = f"{error.strerror}"
        finally:
            self.kill_all()
        if self.abandoned:
            return  # the end of the channel tells it
        if self.failure is None:
            self.read_errors()
        if self.failure:
            report(self.channel, "failed", self.run, text=self.failure)
        else:
            code = os.waitstatus_to_exitcode(self.status or 0)
            report(self.channel, "exited", self.run, code=code)

    def spawn(self, argv: list[str], environment: dict[str, str]) -> None:
        """Fork and execute; the pipe ``errors`` ends empty when the execution succeeded."""
        me = os.getpid()
        self.errors, errors_end = os.pipe()
        # A stop that comes before the execution waits for it; ignored, it would be lost.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        pid = os.fork()
        if pid == 0:
            try:
                execute(argv, environment, me, errors_end)
            finally:
                leave_fork(127)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self.pid = pid
        os.close(errors_end)

    def watch(self, wakeup: int) -> None:
        """Return when the service ended, its grace is over, or SBS is gone."""
        poll = select.poll()
        for fd in (self.commands, self.errors, wakeup):
            poll.register(fd, select.POLLIN)
        while not self.is_over():
            ready = {fd for fd, _ in poll.poll(self.wait_ms())}
            if self.errors in ready:
                poll.unregister(self.errors)
                self.read_errors()
            if wakeup in ready:
                os.read(wakeup, MAX_COMMAND_BYTES)
                self.reap()
            if self.commands in ready:
                self.obey(os.read(self.commands, MAX_COMMAND_BYTES))

    def wait_ms(self) -> int | None:
        """How long nothing needs to be done unless something happens."""
        if self.stop_at is None:
            return None
        return math.ceil(min(max(0.0, self.stop_at - boottime()), LOOK_S) * 1000)

    def is_over(self) -> bool:
        """Whether the time has come to kill what is left."""
        if self.abandoned:
            return True
        if self.stop_at is None:
            return self.status is not None
        if boottime() >= self.stop_at:
            return True
        # While the grace lasts, wait for the whole process group: a shell may end before
        # the program it started. Our own children's ids are certain, the group's is not.
        return self.status is not None and not any(
            os.getpgid(pid) == self.pid for pid in children()
        )

    def obey(self, data: bytes) -> None:
        """A line is a stop request with its grace in seconds; the end means that SBS is gone."""
        if not data:
            self.abandoned = True
            return
        if self.stop_at is None and self.status is None:
            self.signal_group(signal.SIGTERM)
            self.signal_group(signal.SIGCONT)  # a stopped process gets its chance to end too
        for line in data.split():
            stop_at = boottime() + float(line)
            self.stop_at = stop_at if self.stop_at is None else min(self.stop_at, stop_at)

    def signal_group(self, number: int) -> None:
        """Signal the group of the service, which was not reaped: the group's id is its own."""
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            kill(self.pid, number)  # it has not reached setsid yet, or the group is not ours

    def reap(self) -> None:
        """Collect what ended, adopted daemons included."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status

    def kill_all(self) -> None:
        """Kill the service and all that descends from it; return when it is gone and reaped."""
        if self.pid and self.status is None:
            self.signal_group(signal.SIGKILL)
        statuses = kill_descendants()
        self.status = statuses.get(self.pid, self.status)

    def read_errors(self) -> None:
        """Learn whether the program was executed."""
        self.failure = os.read(self.errors, MAX_COMMAND_BYTES).decode(errors="replace")
        if not self.failure:
            report(self.channel, "started", self.run, pid=self.pid)


def report(channel: int, what: str, run: int, **fields: int | str) -> None:
    """Tell SBS; when it is gone there is nobody to tell, and the end is under way already."""
    try:
        os.write(channel, json.dumps({"report": what, "run": run, **fields}).encode())
    except (BrokenPipeError, ConnectionResetError):
        return
