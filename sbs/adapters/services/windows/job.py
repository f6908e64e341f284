"""Job objects: processes that are killed together, and at the latest when SBS ends (B31)."""

from __future__ import annotations

from typing import Final

from sbs.adapters.services.windows import win32
from sbs.adapters.services.windows.naming import naming

_EXIT_CODE: Final = 1
"""Of what is killed: any but 0, which would look like an end in order."""


class JobObject:
    """A job object that kills its processes when the last handle to it is closed.

    SBS alone has a handle, and Windows closes it when SBS ends, however it ends. What the
    processes start is in the job, too.

    Args:
        name: of the service, for errors.

    Raises:
        ServiceError: as do the methods: Windows refuses it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        with naming(name, "no job object can be made"):
            self._handle = win32.jobs.CreateJobObject(None, "")
            kind = win32.JOB_OBJECT_EXTENDED_LIMIT
            limits = win32.jobs.QueryInformationJobObject(self._handle, kind)
            limits["BasicLimitInformation"]["LimitFlags"] |= (
                win32.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
            )
            win32.jobs.SetInformationJobObject(self._handle, kind, limits)

    def add(self, pid: int) -> bool:
        """Take a process in; it cannot leave.

        Returns:
            false: it has ended.
        """
        with naming(self._name, f"process {pid} cannot be bound to SBS"):
            return self._add(pid)

    def _add(self, pid: int) -> bool:
        access = win32.PROCESS_SET_QUOTA | win32.PROCESS_TERMINATE | win32.SYNCHRONIZE
        try:
            process = win32.api.OpenProcess(access, False, pid)
        except win32.Win32Error as error:
            if error.winerror == win32.ERROR_INVALID_PARAMETER:  # nobody has this number
                return False
            raise
        try:
            win32.jobs.AssignProcessToJobObject(self._handle, process)
        except win32.Win32Error:
            if win32.events.WaitForSingleObject(process, 0) == win32.WAIT_OBJECT_0:
                return False
            raise
        finally:
            process.Close()
        return True

    def is_empty(self) -> bool:
        """Whether none of the processes is left."""
        with naming(self._name, "its processes cannot be counted"):
            kind = win32.JOB_OBJECT_BASIC_ACCOUNTING
            return not win32.jobs.QueryInformationJobObject(self._handle, kind)["ActiveProcesses"]

    def kill(self) -> None:
        """End them all, now."""
        with naming(self._name, "its processes cannot be killed"):
            win32.jobs.TerminateJobObject(self._handle, _EXIT_CODE)

    def close(self) -> None:
        """Forget them; what still runs is killed."""
        self._handle.Close()
