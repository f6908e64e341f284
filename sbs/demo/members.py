"""The two nodes of the demo: their places on disk, and their processes."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any, Final

import trio

from sbs.demo.files import UNFINISHED
from sbs.demo.observer import LOOPBACK
from sbs.demo.results import DemoError
from sbs.runtime.operating import control

PORTS: Final = range(15_000, 32_768)
"""Where ports are picked: below those that the kernel gives to outgoing connections."""

MAX_PICKS: Final = 1000
"""Ports tried; so many in use are no coincidence."""

MAX_LOG_LINES: Final = 1000
"""Last lines held of a node's log: several times what a node writes in a demo."""

GONE_BOUND_S: Final = 15.0
"""How long a killed node may take to vanish with its services; milliseconds, if nothing hangs."""

_LEASH: Final = str(Path(__file__).with_name("leash.py"))
_SERVICE: Final = str(Path(__file__).with_name("service.py"))

_CONFIG: Final = """\
[node]
name = {name}
listen = {listen}
peer = {peer}
state_dir = {state_dir}
priority = {priority}

[tls]
identity = {identity}
peer_certificate = {pins}

[sync]
strict_delete = true
preserve_mtime = true

[[folders]]
name = "data"
path = {folder}
filters = ["- {unfinished}"]

[[services.unit]]
name = "web"
command = {command}
"""


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses now.

    Raises:
        DemoError: there are not enough.
    """
    found: list[int] = []
    for port in random.sample(PORTS, MAX_PICKS):
        with socket.socket() as sock:
            try:
                sock.bind((LOOPBACK, port))
            except OSError:  # in use
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise DemoError(f"no {count} free ports on {LOOPBACK} from {PORTS.start} to {PORTS.stop - 1}")


class Member:
    """One node: where it lives, its process, and the last lines of its log.

    Args:
        base: directory of the demo.
        name: of the node.
        port: that it serves.
        peer_port: that the other node serves.
        service_port: of its service.
        priority: see ``node.priority``.
    """

    def __init__(
        self,
        base: str,
        name: str,
        *,
        port: int,
        peer_port: int,
        service_port: int,
        priority: int,
    ) -> None:
        self.name = name
        self.port: int = port
        self.service_port: int = service_port
        self.folder: str = os.path.join(base, name, "data")
        self.state_dir: str = os.path.join(base, name, "state")
        self.config: str = os.path.join(base, f"{name}.toml")
        self.identity: str = os.path.join(base, name, "identity.pem")
        self.pins: str = os.path.join(base, name, "peer.pem")
        self.lines: deque[str] = deque(maxlen=MAX_LOG_LINES)
        self.gone: trio.Event = trio.Event()
        """Set when the process, its fencer and its services are gone."""
        self.gone.set()
        self.may_end: bool = False
        """Whether the end of the process is meant; else it is an error."""
        self._log = os.path.join(base, f"{name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._reading = trio.CancelScope(shield=True)
        os.mkdir(os.path.dirname(self.folder), 0o700)  # whatever the umask
        os.mkdir(self.folder)
        values = {
            "name": name,
            "listen": f"{LOOPBACK}:{port}",
            "peer": f"{LOOPBACK}:{peer_port}",
            "state_dir": self.state_dir,
            "identity": self.identity,
            "pins": self.pins,
            "priority": priority,
            "folder": self.folder,
            "command": [sys.executable, "-I", "-S", _SERVICE, str(service_port)],
        }
        # JSON's strings, numbers and arrays are TOML's, too.
        quoted = {key: json.dumps(value) for key, value in values.items()}
        Path(self.config).touch(mode=0o600)  # it holds commands
        Path(self.config).write_text(
            _CONFIG.format(**quoted, unfinished=UNFINISHED), encoding="utf-8"
        )

    def start(self, nursery: trio.Nursery) -> None:
        """Start the process; it ends with this one, whatever ends this one."""
        reading, writing = os.pipe()
        try:
            # Not by trio: it starts processes in worker threads, see leash.py.
            self._process = subprocess.Popen(  # noqa: S603 - this program
                [
                    *(sys.executable, "-I", "-S", _LEASH, str(os.getpid())),
                    *(sys.executable, "-m", "sbs", "run", "--log-format", "text"),
                    *("-c", self.config),
                ],
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its nodes
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self.gone = trio.Event()
        self.may_end = False
        self._reading = trio.CancelScope(shield=True)
        nursery.start_soon(self._read, reading)

    async def _read(self, reading: int) -> None:
        """Take in the log; it ends when the last process that could write to it has ended."""
        rest = b""
        with self._reading:
            async with trio.lowlevel.FdStream(reading) as stream:
                async for data in stream:
                    *lines, rest = (rest + data).split(b"\n")
                    self.lines += [line.decode(errors="replace") for line in lines]
            if self._process is not None:
                self._process.wait()
            self.gone.set()
        if not self.may_end:
            raise DemoError(f"{self.name} ended by itself, with code {self.exit_code}")

    @property
    def exit_code(self) -> int | None:
        """Of the process; negative for a signal; ``None`` while it runs."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """Kill the process, and no other: its services are its fencer's matter."""
        self.may_end = True
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)

    async def end(self) -> str:
        """Kill what runs; return what would not go, or an empty text."""
        self.kill()
        with trio.move_on_after(GONE_BOUND_S):
            await self.gone.wait()
            return ""
        self._reading.cancel()
        return f"something of {self.name} still runs {GONE_BOUND_S:g} s after it was killed"

    def save_log(self) -> None:
        """Write the lines held to a file beside the configuration."""
        text = "".join(f"{line}\n" for line in self.lines)
        Path(self._log).write_text(text, encoding="utf-8")

    async def status(self) -> dict[str, Any]:
        """What ``sbs status --json`` shows.

        Raises:
            NotRunningError: the node does not run, or not yet.
        """
        status: dict[str, Any] = await control.ask(self.state_dir, "status")
        return status
