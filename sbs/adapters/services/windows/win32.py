"""What SBS uses of pywin32, with types; importing it needs pywin32 (extra ``windows``).

pywin32 has no types of its own, and those of typeshed leave out or contradict half of what is
used here. The constants are those of winsvc.h, winnt.h, winreg.h and winerror.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

SC_MANAGER_CONNECT: Final = 0x1
SC_MANAGER_CREATE_SERVICE: Final = 0x2

SERVICE_QUERY_CONFIG: Final = 0x1
SERVICE_CHANGE_CONFIG: Final = 0x2
SERVICE_QUERY_STATUS: Final = 0x4
SERVICE_ENUMERATE_DEPENDENTS: Final = 0x8
SERVICE_START: Final = 0x10
SERVICE_STOP: Final = 0x20
DELETE: Final = 0x10000

SERVICE_WIN32_OWN_PROCESS: Final = 0x10
SERVICE_AUTO_START: Final = 2
SERVICE_DEMAND_START: Final = 3
SERVICE_ERROR_NORMAL: Final = 1
SERVICE_NO_CHANGE: Final = 0xFFFFFFFF
SERVICE_ACTIVE: Final = 1

SERVICE_CONTROL_STOP: Final = 1
SERVICE_CONTROL_PRESHUTDOWN: Final = 0xF
SERVICE_ACCEPT_STOP: Final = 0x1
SERVICE_ACCEPT_PRESHUTDOWN: Final = 0x100

SERVICE_CONFIG_DESCRIPTION: Final = 1
SERVICE_CONFIG_FAILURE_ACTIONS: Final = 2
SERVICE_CONFIG_FAILURE_ACTIONS_FLAG: Final = 4
SC_ACTION_NONE: Final = 0
SC_ACTION_RESTART: Final = 1

PROCESS_TERMINATE: Final = 0x1
PROCESS_SET_QUOTA: Final = 0x100
SYNCHRONIZE: Final = 0x100000
WAIT_OBJECT_0: Final = 0
JOB_OBJECT_BASIC_ACCOUNTING: Final = 1
JOB_OBJECT_EXTENDED_LIMIT: Final = 9
JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE: Final = 0x2000

HKEY_LOCAL_MACHINE: Final = -0x7FFFFFFE  # 0x80000002 with its sign, as on 64 bits
KEY_QUERY_VALUE: Final = 0x1
KEY_SET_VALUE: Final = 0x2
REG_MULTI_SZ: Final = 7

ERROR_FILE_NOT_FOUND: Final = 2
ERROR_PATH_NOT_FOUND: Final = 3
ERROR_ACCESS_DENIED: Final = 5
ERROR_INVALID_PARAMETER: Final = 87
ERROR_INVALID_LEVEL: Final = 124
ERROR_NO_DATA: Final = 232
ERROR_DEPENDENT_SERVICES_RUNNING: Final = 1051
ERROR_INVALID_SERVICE_CONTROL: Final = 1052
ERROR_SERVICE_REQUEST_TIMEOUT: Final = 1053
ERROR_SERVICE_ALREADY_RUNNING: Final = 1056
ERROR_SERVICE_DISABLED: Final = 1058
ERROR_SERVICE_DOES_NOT_EXIST: Final = 1060
ERROR_SERVICE_CANNOT_ACCEPT_CTRL: Final = 1061
ERROR_SERVICE_NOT_ACTIVE: Final = 1062
ERROR_FAILED_SERVICE_CONTROLLER_CONNECT: Final = 1063
ERROR_SERVICE_DEPENDENCY_FAIL: Final = 1068
ERROR_SERVICE_LOGON_FAILED: Final = 1069
ERROR_SERVICE_MARKED_FOR_DELETE: Final = 1072
ERROR_SERVICE_EXISTS: Final = 1073


class Handle(Protocol):
    """A handle of the kernel's."""

    def Close(self) -> None: ...


class _Services(Protocol):
    """Of the module ``win32service``."""

    def OpenSCManager(self, machine: None, database: None, access: int, /) -> Handle: ...
    def OpenService(self, manager: Handle, name: str, access: int, /) -> Handle: ...
    def CloseServiceHandle(self, handle: Handle, /) -> None: ...
    def CreateService(
        self,
        manager: Handle,
        name: str,
        display_name: str,
        access: int,
        kind: int,
        start_type: int,
        error_control: int,
        command_line: str,
        group: None,
        fetch_tag: bool,
        needs: None,
        account: None,
        password: None,
        /,
    ) -> Handle: ...
    def DeleteService(self, service: Handle, /) -> None: ...
    def QueryServiceConfig(self, service: Handle, /) -> tuple[Any, ...]: ...
    def ChangeServiceConfig(
        self,
        service: Handle,
        kind: int,
        start_type: int,
        error_control: int,
        command_line: str | None,
        group: None,
        fetch_tag: bool,
        needs: None,
        account: None,
        password: None,
        display_name: None,
        /,
    ) -> None: ...
    def ChangeServiceConfig2(self, service: Handle, level: int, info: object, /) -> None: ...
    def QueryServiceStatusEx(self, service: Handle, /) -> Mapping[str, int]: ...
    def EnumDependentServices(self, service: Handle, state: int, /) -> Sequence[Any]: ...
    def StartService(self, service: Handle, arguments: None, /) -> None: ...
    def ControlService(self, service: Handle, control: int, /) -> object: ...
    def SetServiceStatus(self, handle: int, status: tuple[int, ...], /) -> None: ...


class _Dispatcher(Protocol):
    """Of the module ``servicemanager``."""

    def Initialize(self) -> None: ...
    def PrepareToHostSingle(self, make: Callable[[Sequence[str]], object], /) -> None: ...
    def StartServiceCtrlDispatcher(self) -> None: ...
    def RegisterServiceCtrlHandler(
        self, name: str, handler: Callable[[int, int, object], None], extended: bool, /
    ) -> int: ...


class _Jobs(Protocol):
    """Of the module ``win32job``."""

    def CreateJobObject(self, security: None, name: str, /) -> Handle: ...
    def AssignProcessToJobObject(self, job: Handle, process: Handle, /) -> None: ...
    def TerminateJobObject(self, job: Handle, exit_code: int, /) -> None: ...
    def QueryInformationJobObject(self, job: Handle, kind: int, /) -> dict[str, Any]: ...
    def SetInformationJobObject(self, job: Handle, kind: int, info: object, /) -> None: ...


class _Events(Protocol):
    """Of the module ``win32event``."""

    def WaitForSingleObject(self, handle: Handle, timeout_ms: int, /) -> int: ...


class _Api(Protocol):
    """Of the module ``win32api``."""

    def OpenProcess(self, access: int, inherit: bool, pid: int, /) -> Handle: ...
    def RegOpenKeyEx(self, key: int, path: str, reserved: int, access: int, /) -> Handle: ...
    def RegQueryValueEx(self, key: Handle, name: str, /) -> tuple[Any, int]: ...
    def RegSetValueEx(
        self, key: Handle, name: str, reserved: int, kind: int, value: object, /
    ) -> None: ...


if TYPE_CHECKING:

    class Win32Error(Exception):
        """What pywin32 raises: ``pywintypes.error``."""

        winerror: int
        funcname: str
        strerror: str

else:
    Win32Error = import_module("pywintypes").error

services: Final = cast("_Services", import_module("win32service"))
dispatcher: Final = cast("_Dispatcher", import_module("servicemanager"))
jobs: Final = cast("_Jobs", import_module("win32job"))
events: Final = cast("_Events", import_module("win32event"))
api: Final = cast("_Api", import_module("win32api"))
