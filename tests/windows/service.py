"""A service for Windows's service manager: ``python service.py MODE [FILE]``; see :data:`MODES`.

It ends when told to, with code 0. It imports no more than it needs: many checks start it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

import servicemanager
import win32service

SLOW_STEPS = 4
"""Checkpoints of a slow start."""

STEP_S = 0.1


class Program:
    """What the service manager runs."""

    def __init__(self, mode: str, arguments: Sequence[str]) -> None:
        self._mode = mode
        self._told = threading.Event()
        self._handle = servicemanager.RegisterServiceCtrlHandler(arguments[0], self._obey, True)

    def SvcRun(self) -> None:  # noqa: N802 - pywin32's name
        MODES[self._mode](self)

    def report(self, state: int, *, checkpoint: int = 0) -> None:
        accepted = win32service.SERVICE_ACCEPT_STOP if state == win32service.SERVICE_RUNNING else 0
        status = (win32service.SERVICE_WIN32_OWN_PROCESS, state, accepted, 0, 0, checkpoint, 1000)
        win32service.SetServiceStatus(self._handle, status)

    def _obey(self, control: int, _event_type: int, _data: object) -> None:
        if control == win32service.SERVICE_CONTROL_STOP and self._mode != "stubborn":
            self.report(win32service.SERVICE_STOP_PENDING, checkpoint=1)
            self._told.set()

    def serve(self) -> None:
        """Run until told to stop."""
        self.report(win32service.SERVICE_RUNNING)
        self._told.wait()

    def serve_after_steps(self) -> None:
        for step in range(1, SLOW_STEPS):
            self.report(win32service.SERVICE_START_PENDING, checkpoint=step)
            time.sleep(STEP_S)
        self.serve()

    def serve_with_a_child(self) -> None:
        """Begin a child when a file is there, and tell its number in another."""
        self.report(win32service.SERVICE_RUNNING)
        while not os.path.exists(f"{sys.argv[2]}.go"):
            time.sleep(0.02)
        command = [sys.executable, "-c", "import time; time.sleep(1000)"]
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with open(f"{sys.argv[2]}.new", "w", encoding="ascii") as file:
            file.write(str(child.pid))
        os.replace(file.name, sys.argv[2])
        self._told.wait()

    def fail(self) -> None:
        raise RuntimeError("told to")


MODES: dict[str, Callable[[Program], None]] = {
    "plain": Program.serve,
    "slow": Program.serve_after_steps,
    "parent": Program.serve_with_a_child,
    "stubborn": Program.serve,
    "failing": Program.fail,
}

if __name__ == "__main__":
    mode = sys.argv[1]
    servicemanager.Initialize()
    servicemanager.PrepareToHostSingle(lambda arguments: Program(mode, arguments))
    servicemanager.StartServiceCtrlDispatcher()
