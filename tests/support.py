"""A pair of real nodes: processes of the command line, on free loopback ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from sbs.errors import NotRunningError
from sbs.runtime.operating import client

SBS = (sys.executable, "-m", "sbs.cli")
"""The command line under test."""

ROOT = Path(__file__).parent.parent

WAIT_S = 60.0
"""Bound of every wait: much more than any of them takes, on a busy machine, too."""

POLL_S = 0.01

FAST: Mapping[str, Mapping[str, object]] = {
    "failover": {"heartbeat_interval_s": 0.1, "down_interval_s": 1.0, "probe_timeout_s": 1.0}
}
"""Settings of a pair that decides quickly."""


def require(*programs: str, root: bool = False, devices: Sequence[str] = ()) -> None:
    """Skip the test where system packages are missing; ``.ci/run`` installs them, and forbids it.

    Args:
        programs: on PATH.
        root: the test makes network namespaces.
        devices: files below ``/dev``.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    missing += [device for device in devices if not os.path.exists(device)]
    if root and os.geteuid() != 0:
        missing.append("root")
    if missing and "SBS_ALL_TOOLS" in os.environ:
        raise RuntimeError(f"needed, and not here: {', '.join(missing)}")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}; .ci/run installs what tests need")


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody uses now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def wait_until(holds: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> None:
    """Return when ``holds()`` is true; fail after ``timeout_s``."""
    give_up_at = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up_at, f"not within {timeout_s:g} s: {what}"
        time.sleep(POLL_S)


def sbs(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, with these variables besides those of the environment."""
    return subprocess.run(
        [*SBS, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env={**os.environ, **variables},
    )


class NodeProcess:
    """One node: configuration, folder ``data``, state, log, and a process while it runs.

    ``settings`` maps sections to keys and values; ``units`` maps services to their commands.
    """

    def __init__(
        self,
        directory: Path,
        *,
        listen: int,
        peer: int,
        settings: Mapping[str, Mapping[str, object]] = FAST,
        units: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.name = directory.name
        self.address = f"127.0.0.1:{listen}"
        self.config = directory / "sbs.toml"
        self.folder = directory / "data"
        self.state_dir = directory / "state"
        self.log = directory / "log"
        self.cwd = ROOT
        self.prefix: Sequence[str] = ()
        """Of the command of SBS, to run it somewhere else."""
        self.program: Sequence[str] = SBS
        self.run: Sequence[str] = ("run", "--log-format", "text")
        """The log is a file, and tests read its sentences."""
        self.process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(parents=True)
        self.log.touch()
        tables: dict[str, dict[str, object]] = {
            "node": {
                "name": self.name,
                "listen": self.address,
                "peer": f"127.0.0.1:{peer}",
                "state_dir": "state",
            }
        }
        for section, keys in settings.items():
            tables[section] = {**tables.get(section, {}), **keys}
        text = "".join(table(f"[{section}]", keys) for section, keys in tables.items())
        text += table("[[folders]]", {"name": "data", "path": "data"})
        for name, command in (units or {}).items():
            text += table("[[services.unit]]", {"name": name, "command": list(command)})
        self.config.write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start ``sbs run``; does not wait for a role."""
        assert self.process is None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *self.program, *self.run, "-c", str(self.config)],
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, and to it alone."""
        assert self.process is not None, f"{self.name} does not run"
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for the process to end; return its exit code."""
        assert self.process is not None, f"{self.name} does not run"
        code = self.process.wait(WAIT_S)
        self.process = None
        return code

    def stop(self) -> None:
        """``sbs stop``, to the end of the process."""
        done = self.sbs("stop")
        assert done.returncode == 0, done.stderr
        assert self.wait() == 0, self.log.read_text()

    def kill(self) -> None:
        """``kill -9``."""
        self.signal(signal.SIGKILL)
        self.wait()

    def sbs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command with this node's configuration."""
        return sbs(*arguments, "-c", self.config)

    def status(self) -> dict[str, Any]:
        """What ``sbs status --json`` prints, without starting a process for it."""
        try:
            status: dict[str, Any] = client.ask(str(self.state_dir), "status")
        except NotRunningError:
            return {"role": "stopped"}
        return status

    def wait_role(self, role: str, timeout_s: float = WAIT_S) -> None:
        """Wait until the node has this role; a node that ends instead fails the test."""

        def reached() -> bool:
            assert self.process is None or self.process.poll() is None, self.log.read_text()
            return bool(self.status()["role"] == role)

        try:
            wait_until(reached, f"{self.name} is {role}", timeout_s)
        except AssertionError as error:
            log = self.log.read_text(errors="replace")[-3000:]
            raise AssertionError(f"{error}; it is {self.status()}\n{log}") from None

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()


class Pair:
    """Two nodes of each other, ``alpha`` and ``beta``; leaving the context ends both."""

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, Mapping[str, object]] = FAST,
        units: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        a, b = free_ports(2)
        self.alpha = NodeProcess(
            directory / "alpha", listen=a, peer=b, settings=settings, units=units
        )
        self.beta = NodeProcess(
            directory / "beta", listen=b, peer=a, settings=settings, units=units
        )

    def __enter__(self) -> Pair:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.alpha.end()
        self.beta.end()

    def start(self) -> None:
        """Start both: ``alpha`` is primary, ``beta`` its secondary and in step."""
        self.alpha.start()
        self.alpha.wait_role("primary")
        self.beta.start()
        self.beta.wait_role("secondary")
        wait_until(lambda: self.alpha.status()["in_step"], "the nodes are in step")

    def status(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The status of ``alpha`` and that of ``beta``."""
        return self.alpha.status(), self.beta.status()

    def stop(self) -> None:
        """Stop both in order, ``beta`` first, so that no role changes."""
        self.beta.stop()
        self.alpha.stop()

    def kill(self) -> None:
        """``kill -9`` both."""
        self.beta.kill()
        self.alpha.kill()


@contextmanager
def answering(answer: bytes | None) -> Iterator[str]:
    """A listener that is no node: answers every call with ``answer``, or never.

    Returns:
        its address.
    """
    code = (
        "import socket, sys\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "answer, calls = bytes.fromhex(sys.argv[1]), []\n"
        "while True:\n"
        "    call = listener.accept()[0]\n"
        "    calls.append(call)\n"
        "    if answer:\n"
        "        call.recv(65536)\n"
        "        call.sendall(answer)\n"
        "        call.close()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, (answer or b"").hex()], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def table(title: str, keys: Mapping[str, object]) -> str:
    """A table of a configuration."""
    # What JSON writes for texts, numbers, flags and arrays of them is TOML, too.
    return title + "\n" + "".join(f"{key} = {json.dumps(keys[key])}\n" for key in keys) + "\n"


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z" and os.path.exists(f"/proc/{pid}")


class Etcd:
    """A real etcd-server on free ports; a context manager.

    Args:
        directory: for its data and log.
        host: whose address it serves.
        prefix: of its command, to run it somewhere else.
    """

    def __init__(
        self, directory: Path, host: str = "127.0.0.1", prefix: Sequence[str] = ()
    ) -> None:
        require("etcd")
        self._directory = directory
        self._prefix = prefix
        client, peer = free_ports(2)
        self.endpoint = f"http://{host}:{client}"
        self._peers = f"http://127.0.0.1:{peer}"
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start it; return when it answers."""
        options = {
            "name": "w",
            "data-dir": self._directory / "data",
            "listen-client-urls": self.endpoint,
            "advertise-client-urls": self.endpoint,
            "listen-peer-urls": self._peers,
            "initial-advertise-peer-urls": self._peers,
            "initial-cluster": f"w={self._peers}",
            "logger": "zap",
            "log-level": "error",
        }
        with open(self._directory / "etcd.log", "ab") as log:
            self.process = subprocess.Popen(
                [*self._prefix, "etcd", *(f"--{name}={value}" for name, value in options.items())],
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, "etcd answers")

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self._directory / "etcd.log").read_text()
        port = self.endpoint.rpartition(":")[2]
        program = (
            "import sys, urllib.request as u\n"
            f"sys.exit(u.urlopen('http://127.0.0.1:{port}/health', timeout=1).status != 200)"
        )
        asked = [*self._prefix, sys.executable, "-I", "-c", program]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    def kill(self) -> None:
        """Kill it; its data stay."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Etcd:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
