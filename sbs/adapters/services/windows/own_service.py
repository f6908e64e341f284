"""SBS itself as a Windows service (R31): installed, uninstalled, and run as one."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol

import trio

from sbs.adapters.services.windows import win32
from sbs.adapters.services.windows.manager import opened, set_recovery
from sbs.adapters.services.windows.naming import naming
from sbs.adapters.services.windows.status import State

RESTART_S: Final = 5.0
"""From a crash of SBS to its restart by Windows: the other node has taken over by then."""

TICK_S: Final = 1.0
"""From one report to the next while SBS starts or stops."""

HINT_S: Final = 10.0
"""How long a report may fail to come before SBS counts as hung."""

DESCRIPTION: Final = (
    "Keeps a second server ready to replace the first: starts and stops the services it is set "
    "up for."
)

_ACCEPTED: Final = win32.SERVICE_ACCEPT_STOP | win32.SERVICE_ACCEPT_PRESHUTDOWN
_ENDS: Final = frozenset({win32.SERVICE_CONTROL_STOP, win32.SERVICE_CONTROL_PRESHUTDOWN})


def install(name: str, command: Sequence[str], *, automatic: bool = False) -> None:
    """Install SBS as a service, or change one that is installed; it is not started.

    It runs as LocalSystem, and Windows restarts it when it fails.

    Args:
        name: short name of the service.
        command: absolute path of a program, and arguments; it calls :func:`serve`.
        automatic: started with the machine; otherwise by hand (R31).

    Raises:
        ServiceError: it cannot be installed.
    """
    start_type = win32.SERVICE_AUTO_START if automatic else win32.SERVICE_DEMAND_START
    line = subprocess.list2cmdline(command)
    own, normal = win32.SERVICE_WIN32_OWN_PROCESS, win32.SERVICE_ERROR_NORMAL
    access = win32.SERVICE_CHANGE_CONFIG | win32.SERVICE_START
    with naming(name, "cannot be installed"):
        manager = win32.services.OpenSCManager(None, None, win32.SC_MANAGER_CREATE_SERVICE)
        try:
            service = win32.services.CreateService(
                manager,
                name,
                name,
                access,
                own,
                start_type,
                normal,
                line,
                None,
                False,
                None,
                None,
                None,
            )
        except win32.Win32Error as error:
            if error.winerror != win32.ERROR_SERVICE_EXISTS:
                raise
            service = win32.services.OpenService(manager, name, access)
            win32.services.ChangeServiceConfig(
                service, own, start_type, normal, line, None, False, None, None, None, None
            )
        finally:
            win32.services.CloseServiceHandle(manager)
        try:
            win32.services.ChangeServiceConfig2(
                service, win32.SERVICE_CONFIG_DESCRIPTION, DESCRIPTION
            )
            set_recovery(service, win32.SC_ACTION_RESTART, RESTART_S)
            _restart_after_errors(service)
        finally:
            win32.services.CloseServiceHandle(service)


def _restart_after_errors(service: win32.Handle) -> None:
    """Have a stop with an error count as a failure, too."""
    try:
        win32.services.ChangeServiceConfig2(
            service, win32.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, True
        )
    except win32.Win32Error as error:
        if error.winerror != win32.ERROR_INVALID_LEVEL:  # Wine has no such thing
            raise


def uninstall(name: str) -> None:
    """Uninstall the service; one that runs goes when it has stopped.

    Raises:
        ServiceError: there is none, or it cannot be uninstalled.
    """
    with naming(name, "cannot be uninstalled"):
        manager = win32.services.OpenSCManager(None, None, win32.SC_MANAGER_CONNECT)
        with opened(manager, name, win32.DELETE) as service:
            win32.services.DeleteService(service)


class Program(Protocol):
    """What runs as the service."""

    async def __call__(
        self, stop: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run; return when all is done.

        Args:
            stop: set when the service is to end, also because the machine shuts down.
            task_status: told when the service has started.
        """
        ...


def serve(program: Program) -> None:
    """Run as the service that the service manager has started this process for.

    Must be called in the main thread. The service has started when the program says so; while it
    starts and stops it reports progress. An exception of the program is written to the event log
    and ends the service with an error, upon which Windows starts it again.

    Args:
        program: is run by trio, in another thread.

    Raises:
        ServiceError: this process was not started by the service manager.
    """
    win32.dispatcher.Initialize()
    win32.dispatcher.PrepareToHostSingle(partial(_Host, program))
    with naming("sbs", "this program is started by the service manager only"):
        win32.dispatcher.StartServiceCtrlDispatcher()


class _Host:
    """What pywin32 makes of a program to run it, in a thread of the service manager's."""

    def __init__(self, program: Program, arguments: Sequence[str]) -> None:
        self._program = program
        self._handle = win32.dispatcher.RegisterServiceCtrlHandler(
            arguments[0], self._control, True
        )
        self._checkpoints = itertools.count(1)
        self._started = trio.Event()
        self._stop = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None

    def SvcRun(self) -> None:  # noqa: N802 - pywin32's name
        """Run the program; whoever calls reports the end."""
        trio.run(self._run)

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._report_progress)
            async with trio.open_nursery() as life:
                await life.start(self._program, self._stop)
                self._started.set()
            nursery.cancel_scope.cancel()

    async def _report_progress(self) -> None:
        while not self._started.is_set():
            self._report(State.START_PENDING)
            with trio.move_on_after(TICK_S):
                await self._started.wait()
        self._report(State.RUNNING)
        await self._stop.wait()
        while True:
            self._report(State.STOP_PENDING)
            await trio.sleep(TICK_S)

    def _report(self, state: State) -> None:
        is_running = state is State.RUNNING
        checkpoint, hint_ms = (0, 0) if is_running else (next(self._checkpoints), HINT_S * 1000)
        accepted = _ACCEPTED if is_running else 0
        own = win32.SERVICE_WIN32_OWN_PROCESS
        win32.services.SetServiceStatus(
            self._handle, (own, state, accepted, 0, 0, checkpoint, round(hint_ms))
        )

    def _control(self, control: int, _event_type: int, _data: object) -> None:
        """Obey the service manager, in a thread of its own."""
        if control in _ENDS and self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._stop.set)
