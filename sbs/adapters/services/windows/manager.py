"""The Windows service manager, called through pywin32."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from sbs.adapters.services.windows import win32
from sbs.adapters.services.windows.environment import merge
from sbs.adapters.services.windows.job import JobObject
from sbs.adapters.services.windows.naming import naming
from sbs.adapters.services.windows.status import ServiceStatus, State
from sbs.errors import ServiceError

SERVICES_KEY: Final = "SYSTEM\\CurrentControlSet\\Services\\"
"""Where the registry, below HKEY_LOCAL_MACHINE, has a key for each service."""

_NOT_NOW: Final = frozenset(
    {
        win32.ERROR_DEPENDENT_SERVICES_RUNNING,
        win32.ERROR_INVALID_SERVICE_CONTROL,
        win32.ERROR_NO_DATA,  # its process ended just now
        win32.ERROR_SERVICE_CANNOT_ACCEPT_CTRL,
        win32.ERROR_SERVICE_REQUEST_TIMEOUT,
    }
)


@contextmanager
def opened(manager: win32.Handle, name: str, access: int) -> Generator[win32.Handle]:
    """A handle to a service; errors are pywin32's."""
    service = win32.services.OpenService(manager, name, access)
    try:
        yield service
    finally:
        win32.services.CloseServiceHandle(service)


def set_recovery(service: win32.Handle, action: int, delay_s: float) -> None:
    """Say what Windows does, again and again, when a service fails; errors are pywin32's."""
    win32.services.ChangeServiceConfig2(
        service,
        win32.SERVICE_CONFIG_FAILURE_ACTIONS,
        {
            "ResetPeriod": 0,
            "RebootMsg": None,
            "Command": None,
            "Actions": ((action, round(delay_s * 1000)),),
        },
    )


class ServiceManager:
    """The local service manager: :class:`~sbs.adapters.services.windows.calls.Calls`.

    Raises:
        ServiceError: it cannot be reached.
    """

    def __init__(self) -> None:
        with naming("*", "the service manager cannot be reached"):
            self._manager = win32.services.OpenSCManager(None, None, win32.SC_MANAGER_CONNECT)

    def prepare(self, name: str) -> None:
        """See :meth:`Calls.prepare`."""
        access = win32.SERVICE_QUERY_CONFIG | win32.SERVICE_CHANGE_CONFIG
        with naming(name, "cannot be made SBS's"), opened(self._manager, name, access) as service:
            kind, start_type = win32.services.QueryServiceConfig(service)[:2]
            if not kind & win32.SERVICE_WIN32_OWN_PROCESS:
                raise ServiceError(
                    f"service {name!r}: it shares its process with other services, and could not "
                    f"be ended alone; give it its own: sc config {name} type= own"
                )
            if start_type != win32.SERVICE_DEMAND_START:
                keep = win32.SERVICE_NO_CHANGE
                demand = win32.SERVICE_DEMAND_START
                win32.services.ChangeServiceConfig(
                    service, keep, demand, keep, None, None, False, None, None, None, None
                )
            # Else Windows would start it again after SBS has died and its job has killed it.
            set_recovery(service, win32.SC_ACTION_NONE, 0.0)

    def status(self, name: str) -> ServiceStatus:
        """See :meth:`Calls.status`."""
        access = win32.SERVICE_QUERY_STATUS
        with naming(name, "its state is unknown"), opened(self._manager, name, access) as service:
            answer = win32.services.QueryServiceStatusEx(service)
        return ServiceStatus(
            state=State(answer["CurrentState"]),
            pid=answer["ProcessId"],
            checkpoint=answer["CheckPoint"],
            wait_hint_s=answer["WaitHint"] / 1000,
            exit_code=answer["Win32ExitCode"],
            specific_code=answer["ServiceSpecificExitCode"],
        )

    def start(self, name: str, environment: Mapping[str, str]) -> bool:
        """See :meth:`Calls.start`; the environment is written to the service's registry key."""
        with naming(name, "cannot start"):
            self._write_environment(name, environment)
            with opened(self._manager, name, win32.SERVICE_START) as service:
                try:
                    win32.services.StartService(service, None)
                except win32.Win32Error as error:
                    if error.winerror != win32.ERROR_SERVICE_ALREADY_RUNNING:
                        raise
                    return False
        return True

    def _write_environment(self, name: str, environment: Mapping[str, str]) -> None:
        access = win32.KEY_QUERY_VALUE | win32.KEY_SET_VALUE
        key = win32.api.RegOpenKeyEx(win32.HKEY_LOCAL_MACHINE, SERVICES_KEY + name, 0, access)
        try:
            present: list[str] = []
            try:
                present, _ = win32.api.RegQueryValueEx(key, "Environment")
            except win32.Win32Error as error:
                if error.winerror != win32.ERROR_FILE_NOT_FOUND:
                    raise
            wanted = merge(present, environment)
            if wanted != present:
                win32.api.RegSetValueEx(key, "Environment", 0, win32.REG_MULTI_SZ, wanted)
        finally:
            key.Close()

    def adopt(self, name: str, pid: int) -> JobObject | None:
        """See :meth:`Calls.adopt`."""
        job = JobObject(name)
        added = False
        try:
            added = job.add(pid)
        finally:
            if not added:
                job.close()
        return job if added else None

    def dependents(self, name: str) -> Sequence[str]:
        """See :meth:`Calls.dependents`."""
        access = win32.SERVICE_ENUMERATE_DEPENDENTS
        with (
            naming(name, "what needs it is unknown"),
            opened(self._manager, name, access) as service,
        ):
            found = win32.services.EnumDependentServices(service, win32.SERVICE_ACTIVE)
        return [dependent for dependent, *_ in found]

    def ask_to_stop(self, name: str) -> bool:
        """See :meth:`Calls.ask_to_stop`."""
        with (
            naming(name, "cannot be stopped"),
            opened(self._manager, name, win32.SERVICE_STOP) as service,
        ):
            try:
                win32.services.ControlService(service, win32.SERVICE_CONTROL_STOP)
            except win32.Win32Error as error:
                if error.winerror in _NOT_NOW:
                    return False
                if error.winerror != win32.ERROR_SERVICE_NOT_ACTIVE:
                    raise
        return True
