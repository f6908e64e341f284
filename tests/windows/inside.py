"""What is checked in Windows's Python: the adapter, and SBS as a service (test_wine.py runs it)."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from sbs.adapters.services.windows import own_service, win32
from sbs.adapters.services.windows.adapter import open_controller
from sbs.adapters.services.windows.manager import SERVICES_KEY, ServiceManager
from sbs.adapters.services.windows.status import State
from sbs.errors import ServiceError
from sbs.ports import ServiceController, ServiceState, Unit
from sbs.testing.services import check_service_controller
from sbs.version import __version__

SERVICE = Path(__file__).with_name("service.py")
GRACE_S = 20.0
"""More than any service here needs."""

manager = ServiceManager()


def create(name: str, *arguments: str) -> None:
    """Install a service as another vendor's set-up would: started with the machine."""
    access = win32.SC_MANAGER_CONNECT | win32.SC_MANAGER_CREATE_SERVICE
    scm = win32.services.OpenSCManager(None, None, access)
    command = subprocess.list2cmdline([sys.executable, str(SERVICE), *arguments])
    service = win32.services.CreateService(
        scm, name, name, win32.SERVICE_START, win32.SERVICE_WIN32_OWN_PROCESS,
        win32.SERVICE_AUTO_START, win32.SERVICE_ERROR_NORMAL, command,
        None, False, None, None, None,
    )  # fmt: skip
    win32.services.CloseServiceHandle(service)
    win32.services.CloseServiceHandle(scm)


def start_type(name: str) -> int:
    kind = win32.SERVICE_QUERY_CONFIG
    scm = win32.services.OpenSCManager(None, None, win32.SC_MANAGER_CONNECT)
    service = win32.services.OpenService(scm, name, kind)
    found: int = win32.services.QueryServiceConfig(service)[1]
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        process = win32.api.OpenProcess(win32.SYNCHRONIZE, False, pid)
    except win32.Win32Error:
        return False
    return win32.events.WaitForSingleObject(process, 0) != win32.WAIT_OBJECT_0


def environment_of(name: str) -> Mapping[str, str]:
    key = win32.api.RegOpenKeyEx(
        win32.HKEY_LOCAL_MACHINE, SERVICES_KEY + name, 0, win32.KEY_QUERY_VALUE
    )
    entries, kind = win32.api.RegQueryValueEx(key, "Environment")
    assert kind == win32.REG_MULTI_SZ
    return dict(entry.split("=", 1) for entry in entries)


async def state(controller: ServiceController, name: str) -> ServiceState:
    return (await controller.states())[name]


async def pid_of(controller: ServiceController, name: str) -> int:
    word, pid = (await state(controller, name)).detail.split()
    assert word == "process"
    return int(pid)


async def crash(controller: ServiceController, name: str) -> None:
    os.kill(await pid_of(controller, name), 7)  # on Windows: end it, with this exit code


async def wait_gone(pid: int) -> None:
    with trio.fail_after(GRACE_S):
        while is_alive(pid):  # noqa: ASYNC110 - Windows tells nobody
            await trio.sleep(0.05)


def test_what_does_not_need_posix_can_be_imported() -> None:
    """docs/windows.md has the list."""
    for name in ("sbs.errors", "sbs.ports", "sbs.testing.services", "sbs.core", "sbs.config"):
        module = importlib.import_module(name)
        parts = pkgutil.walk_packages(getattr(module, "__path__", []), f"{name}.")
        for part in parts:
            if not part.name.endswith("__main__"):
                importlib.import_module(part.name)
    done = subprocess.run(
        [sys.executable, "-m", "sbs.cli", "--version"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == f"sbs {__version__}", done.stderr


async def test_adapter_passes_the_conformance_check() -> None:
    """R30, R32, B30; the environment Wine gives to no service, so the next check looks for it."""
    create("sbs-plain", "plain")
    await check_service_controller(open_controller, Unit(name="sbs-plain"), crash)


async def test_opening_makes_the_services_ours() -> None:
    """R30: manual start, and what ran before SBS is stopped."""
    create("sbs-slow", "slow")
    manager.start("sbs-slow", {})
    assert start_type("sbs-slow") == win32.SERVICE_AUTO_START
    async with open_controller([Unit(name="sbs-slow")], []) as controller:
        assert start_type("sbs-slow") == win32.SERVICE_DEMAND_START
        before = await state(controller, "sbs-slow")
        assert not before.active
        assert not before.running
        await controller.start("sbs-slow", {"SBS_EPOCH": "6", "SBS_CHECK": "\u00e4 = \n;$x"})
        assert (await state(controller, "sbs-slow")).running
        assert environment_of("sbs-slow") == {"SBS_EPOCH": "6", "SBS_CHECK": "\u00e4 = \n;$x"}
        pid = await pid_of(controller, "sbs-slow")
    assert not is_alive(pid)


async def test_start_that_fails_says_so() -> None:
    create("sbs-failing", "failing")
    async with open_controller([Unit(name="sbs-failing")], []) as controller:
        with pytest.raises(ServiceError, match="'sbs-failing': cannot start: ended with code"):
            await controller.start("sbs-failing", {})
        assert not (await state(controller, "sbs-failing")).active


async def test_what_does_not_stop_is_killed() -> None:
    create("sbs-stubborn", "stubborn")
    async with open_controller([Unit(name="sbs-stubborn")], []) as controller:
        await controller.start("sbs-stubborn", {})
        pid = await pid_of(controller, "sbs-stubborn")
        await controller.stop("sbs-stubborn", 0.5)
        assert not is_alive(pid)


async def test_operator_stop_is_no_crash() -> None:
    """R32"""
    async with open_controller([Unit(name="sbs-plain")], []) as controller:
        await controller.start("sbs-plain", {})
        assert manager.ask_to_stop("sbs-plain")
        with trio.fail_after(GRACE_S):
            while (await state(controller, "sbs-plain")).running:
                await controller.wait_changed()
        assert not (await state(controller, "sbs-plain")).active


async def test_services_and_their_children_die_with_sbs(tmp_path: Path) -> None:
    """B31: a job object kills them when SBS is killed."""
    create("sbs-parent", "parent", str(tmp_path / "child"))
    command = [sys.executable, "-m", "tests.windows.hold", "sbs-parent"]
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs here
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as sbs:
        assert sbs.stdout is not None
        pid = int(sbs.stdout.readline())
        (tmp_path / "child.go").touch()  # what it began before it was in the job is not bound
        with trio.fail_after(GRACE_S):
            while not (tmp_path / "child").exists():  # noqa: ASYNC110 - the service tells nobody
                await trio.sleep(0.02)
        child = int((tmp_path / "child").read_text())
        assert is_alive(pid)
        assert is_alive(child)
        sbs.kill()
    await wait_gone(pid)
    await wait_gone(child)


def test_unknown_services_and_wrong_moments_have_names() -> None:
    """The errors of pywin32 become ours, with the cause."""
    with pytest.raises(
        ServiceError, match=r"'no-such': its state .*error 1060 .*short one"
    ) as info:
        manager.status("no-such")
    assert isinstance(info.value.__cause__, win32.Win32Error)
    assert manager.ask_to_stop("sbs-failing")  # 1062: it does not run


def until(name: str, wanted: State) -> None:
    give_up_at = time.monotonic() + GRACE_S
    while manager.status(name).state is not wanted:
        assert time.monotonic() < give_up_at, manager.status(name)
        time.sleep(0.05)


def test_sbs_as_a_service() -> None:
    """R31: manual by default, automatic on request; stops in order; is uninstalled."""
    command = [sys.executable, str(SERVICE.with_name("hosted.py"))]
    for automatic, wanted in (
        (False, win32.SERVICE_DEMAND_START),
        (True, win32.SERVICE_AUTO_START),
    ):
        own_service.install("sbs-itself", command, automatic=automatic)
        assert start_type("sbs-itself") == wanted
    manager.start("sbs-itself", {})
    until("sbs-itself", State.RUNNING)
    assert manager.ask_to_stop("sbs-itself")
    until("sbs-itself", State.STOPPED)
    assert not manager.status("sbs-itself").failed
    own_service.uninstall("sbs-itself")
    with pytest.raises(ServiceError, match=r"'sbs-itself': cannot be uninstalled.*error 10(60|72)"):
        own_service.uninstall("sbs-itself")


def test_sbs_as_a_service_that_fails() -> None:
    """R31: Windows starts it again only if it learns that it has failed."""
    own_service.install(
        "sbs-broken", [sys.executable, str(SERVICE.with_name("hosted.py")), "broken"]
    )
    manager.start("sbs-broken", {})
    until("sbs-broken", State.STOPPED)
    assert manager.status("sbs-broken").failed
    own_service.uninstall("sbs-broken")
