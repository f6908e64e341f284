"""Real nodes: a process each, with its configuration, folders, log and control socket."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from sbs.runtime.operating import client
from tests.support import POLL_S, WAIT_S, NodeProcess, free_ports, wait_until

SERVICE = str(Path(__file__).with_name("service.py"))

Tables: TypeAlias = Mapping[str, Any]
"""Sections of a configuration: a mapping of keys, or a list of such mappings."""


def ask_service(port: int) -> dict[str, Any] | None:
    """What the service on ``port`` says of itself; ``None`` if nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with sock.makefile("rb") as answer:
                body = answer.read().partition(b"\r\n\r\n")[2]
    except OSError:
        return None
    return json.loads(body) if body else None


class Node(NodeProcess):
    """One node of a pair, with a service and a configuration that can be changed."""

    def __init__(self, directory: Path, *, port: int, peer: int, service: int) -> None:
        super().__init__(directory, listen=port, peer=peer, settings={})
        self.directory = directory
        self.port = port
        self.service = service
        self.starts = directory / "starts.jsonl"
        self.tables: dict[str, Any] = {
            "node": {
                "name": self.name,
                "listen": self.address,
                "peer": f"127.0.0.1:{peer}",
                "state_dir": str(self.state_dir),
            },
            "folders": [{"name": "data", "path": str(self.folder)}],
            "services": {
                "unit": [
                    {
                        "name": "web",
                        "command": [sys.executable, "-I", "-S", SERVICE, str(service)],
                    }
                ]
            },
        }
        self.configure({})

    def configure(self, tables: Tables) -> None:
        """Change the configuration; ``None`` as a section or a value leaves it out."""
        for section, keys in tables.items():
            if isinstance(keys, Mapping) and isinstance(self.tables.get(section), dict):
                self.tables[section] = {**self.tables[section], **keys}
            else:
                self.tables[section] = keys
        self.config.write_text(_toml(self.tables), encoding="utf-8")

    def record_starts(self) -> None:
        """Have each start of the service add a line to :attr:`starts`."""
        self.starts.touch()
        self.tables["services"]["unit"][0]["command"].append(str(self.starts))
        self.configure({})

    def stop_at_once(self) -> None:
        """``sbs stop`` without the time that a command takes to start."""
        client.stop(str(self.state_dir))
        assert self.wait() == 0, self.log_tail()

    def ask(self, command: str, **arguments: Any) -> Any:
        """Ask through the control socket, without the cost of a command's start."""
        return client.ask(str(self.state_dir), command, timeout_s=60.0, **arguments)

    @property
    def role(self) -> str:
        """The role it says it has."""
        return str(self.status()["role"])

    @property
    def alarms(self) -> dict[str, str]:
        """The standing alarms: texts by code."""
        return {alarm["code"]: alarm["text"] for alarm in self.status().get("alarms", [])}

    @property
    def log_text(self) -> str:
        """Everything it has logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def log_tail(self) -> str:
        """The end of the log, for a failure's text."""
        return f"{self.name}:\n{self.log_text[-3000:]}"

    def wait_alarm(self, code: str) -> str:
        """Wait until an alarm stands; return its text."""
        wait_until(lambda: code in self.alarms, f"{self.name} has alarm {code}")
        return self.alarms[code]

    def stay(self, role: str, seconds: float) -> None:
        """Fail unless the node keeps a role for so long."""
        over_at = time.monotonic() + seconds
        while time.monotonic() < over_at:
            assert self.role == role, self.log_tail()
            time.sleep(POLL_S)

    @property
    def pid(self) -> int:
        """The process of SBS."""
        assert self.process is not None
        return self.process.pid

    @property
    def fencer_pid(self) -> int:
        """The fencer of that process."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        children = [int(pid) for path in tasks for pid in path.read_text().split()]
        (fencer,) = (
            pid for pid in children if b"fencer.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        return fencer

    def wait_no_alarm(self) -> None:
        """Wait until no alarm stands."""
        wait_until(lambda: not self.alarms, f"no alarm of {self.name} stands")

    def wait_logged(self, text: str) -> None:
        """Wait until the log says ``text``."""
        wait_until(lambda: text in self.log_text, f"{text!r} in the log of {self.name}")

    def wait_file(self, name: str, content: bytes) -> None:
        """Wait until the folder has a file of this content."""
        path = self.folder / name
        wait_until(lambda: path.exists() and path.read_bytes() == content, f"{path} has arrived")

    def wait_service(self) -> dict[str, Any]:
        """Wait until the node's service answers; return what it says."""
        answer: dict[str, Any] | None = None

        def answers() -> bool:
            nonlocal answer
            answer = ask_service(self.service)
            return answer is not None

        wait_until(answers, f"the service of {self.name} answers")
        assert answer is not None
        return answer

    @property
    def serves(self) -> bool:
        """Whether its service answers now."""
        return ask_service(self.service) is not None

    @property
    def resident_bytes(self) -> int:
        """Memory of the process of SBS."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


class Pair:
    """Two nodes that know each other: ``alpha`` and ``beta``."""

    def __init__(self, directory: Path, tables: Tables | None = None) -> None:
        ports = free_ports(4)
        self.alpha = Node(directory / "alpha", port=ports[0], peer=ports[1], service=ports[2])
        self.beta = Node(directory / "beta", port=ports[1], peer=ports[0], service=ports[3])
        self.nodes = (self.alpha, self.beta)
        self.configure(tables or {})

    def configure(self, tables: Tables) -> None:
        """Change both configurations."""
        for node in self.nodes:
            node.configure(tables)

    def start(self) -> tuple[Node, Node]:
        """Start both: ``alpha`` becomes primary, ``beta`` its secondary, in step.

        Returns:
            primary and secondary.
        """
        self.alpha.start()
        self.alpha.wait_role("primary")
        self.beta.start()
        self.wait_settled(self.alpha, self.beta)
        return self.alpha, self.beta

    def wait_settled(self, primary: Node, secondary: Node, timeout_s: float = WAIT_S) -> None:
        """Wait until ``secondary`` follows ``primary`` and holds its data, and services run."""
        secondary.wait_role("secondary", timeout_s=timeout_s)
        wait_until(
            lambda: primary.status().get("in_step") and secondary.status().get("in_step"),
            f"{secondary.name} is in step",
            timeout_s,
        )
        assert primary.role == "primary", primary.log_tail()

    def log_tails(self) -> str:
        """The end of both logs."""
        return f"{self.alpha.log_tail()}\n{self.beta.log_tail()}"

    def end(self) -> None:
        """End both processes in any case."""
        for node in self.nodes:
            node.end()


@contextmanager
def pair_in(directory: Path, tables: Tables | None = None) -> Iterator[Pair]:
    """A pair whose processes end with the block."""
    pair = Pair(directory, tables)
    try:
        yield pair
    finally:
        pair.end()


def _toml(tables: Tables) -> str:
    lines: list[str] = []

    def write(prefix: str, name: str, value: Any) -> None:
        full = f"{prefix}{name}"
        if isinstance(value, Mapping):
            lines.append(f"[{full}]")
            inner = {key: entry for key, entry in value.items() if entry is not None}
            for key, entry in inner.items():
                if not _is_section(entry):
                    lines.append(f"{key} = {json.dumps(entry)}")
            for key, entry in inner.items():
                if _is_section(entry):
                    write(f"{full}.", key, entry)
        elif _is_section(value):
            for entry in value:
                lines.append(f"[[{full}]]")
                lines.extend(f"{key} = {json.dumps(inner)}" for key, inner in entry.items())

    for name, value in tables.items():
        write("", name, value)
    return "\n".join(lines) + "\n"


def _is_section(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list) and all(isinstance(entry, Mapping) for entry in value)
