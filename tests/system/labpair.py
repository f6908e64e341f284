"""Two real nodes on two hosts of a lab, with a service that stamps the time."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import attrs

from tests.support import wait_until
from tests.system.netns import Lab
from tests.system.nodes import Node, Tables
from tests.system.securing import introduce

STAMPER = str(Path(__file__).with_name("stamper.py"))

STAMPS = "stamps"
"""The last word of a service's command is this file in its node's directory."""

PORT = 4445


@attrs.frozen(order=True)
class Run:
    """A service served: from its first stamp of an epoch to the last, on the machine's clock."""

    first_ns: int
    last_ns: int
    epoch: int
    name: str


class LabPair:
    """Two nodes, ``alpha`` on host ``a`` and ``beta`` on host ``b``, with TLS between them.

    Args:
        directory: of their files.
        lab: where they run.
        tables: of their configurations.
        port: of both; the fencer of a node that was killed holds its port for a second more.
    """

    def __init__(self, directory: Path, lab: Lab, tables: Tables, port: int = PORT) -> None:
        self.lab = lab
        self.port = port
        self.alpha = self._node(directory / "alpha", "a", "b")
        self.beta = self._node(directory / "beta", "b", "a")
        self.nodes = (self.alpha, self.beta)
        introduce(self.alpha, self.beta, directory)
        self.configure(tables)

    def _node(self, directory: Path, host: str, peer: str) -> Node:
        node = Node(directory, port=self.port, peer=self.port, service=0)
        command = [sys.executable, "-I", "-S", STAMPER, str(stamps_of(node))]
        node.prefix = ("ip", "netns", "exec", self.lab.namespace(host))
        node.configure(
            {
                "node": {
                    "listen": f"{self.lab.address(host, peer)}:{self.port}",
                    "peer": f"{self.lab.address(peer, host)}:{self.port}",
                },
                "services": {"unit": [{"name": "web", "command": command}]},
            }
        )
        return node

    def configure(self, tables: Tables) -> None:
        """Change both configurations."""
        for node in self.nodes:
            node.configure(tables)

    def host(self, node: Node) -> str:
        """Where a node runs."""
        return "a" if node is self.alpha else "b"

    def other(self, node: Node) -> Node:
        """The node beside it."""
        return self.beta if node is self.alpha else self.alpha

    def start(self) -> tuple[Node, Node]:
        """Start both at once, and wait until they have settled.

        Returns:
            primary and secondary, as they chose.
        """
        for node in self.nodes:
            node.start()
        wait_until(
            lambda: {node.role for node in self.nodes} == {"primary", "secondary"},
            "one primary and one secondary",
        )
        primary, secondary = sorted(self.nodes, key=lambda node: node.role)
        self.wait_settled(primary, secondary)
        return primary, secondary

    def wait_settled(self, primary: Node, secondary: Node) -> None:
        """Wait until one node serves, alone, and the other follows it and holds its data."""

        def settled() -> bool:
            if (primary.role, secondary.role) != ("primary", "secondary"):
                return False
            in_step = primary.status()["in_step"] and secondary.status()["in_step"]
            return in_step and self.serves(primary) and not self.serves(secondary)

        self.wait(settled, f"{primary.name} serves and {secondary.name} is in step")

    def wait(self, holds: Callable[[], object], what: str) -> None:
        """Wait for a condition; if it does not come, the failure shows both logs."""
        try:
            wait_until(holds, what)
        except AssertionError as error:
            tails = "\n".join(node.log_tail() for node in self.nodes)
            raise AssertionError(f"{error}\n{tails}") from None

    # The services.

    def service_pid(self, node: Node) -> int | None:
        """The process of a node's service; ``None``: it does not run.

        Raises:
            AssertionError: there are several.
        """
        mark = f"\0{stamps_of(node)}\0".encode()
        pids: list[int] = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended meanwhile
                if path.read_bytes().endswith(mark):
                    pids.append(int(path.parent.name))
        assert len(pids) <= 1, f"the service of {node.name} runs {len(pids)} times"
        return pids[0] if pids else None

    def serves(self, node: Node) -> bool:
        """Whether a node's service runs."""
        return self.service_pid(node) is not None

    def die(self, node: Node) -> None:
        """A node's host loses its power: in one instant it is cut off and everything is dead."""
        pids = (node.fencer_pid, self.service_pid(node))
        self.lab.unplug(self.host(node))
        node.kill()
        for pid in pids:
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def stamps(self) -> list[tuple[int, int, str]]:
        """When each node served under which epoch: nanoseconds, epoch, name; in order of time."""
        found: list[tuple[int, int, str]] = []
        for node in self.nodes:
            path = stamps_of(node)
            for line in path.read_text().splitlines() if path.exists() else ():
                moment, epoch = line.split()
                found.append((int(moment), int(epoch), node.name))
        return sorted(found)

    def runs(self) -> list[Run]:
        """Each time a node served under one epoch, in the order of their first stamps."""
        return runs_of(self.stamps())

    def overlaps(self) -> list[tuple[Run, Run]]:
        """Times at which two nodes served, from first to last stamp."""
        return overlaps_of(self.runs())

    def end(self) -> None:
        """End all processes in any case."""
        for node in self.nodes:
            node.end()


def runs_of(stamps: Iterable[tuple[int, int, str]]) -> list[Run]:
    """Sum stamps up."""
    moments: dict[tuple[int, str], list[int]] = {}
    for moment, epoch, name in stamps:
        moments.setdefault((epoch, name), []).append(moment)
    found = (Run(min(at), max(at), epoch, name) for (epoch, name), at in moments.items())
    return sorted(found)


def overlaps_of(runs: Iterable[Run]) -> list[tuple[Run, Run]]:
    """Pairs of runs of different nodes that have a moment in common; the runs are in order."""
    return [
        (one, other)
        for one, other in itertools.combinations(runs, 2)
        if one.name != other.name and other.first_ns <= one.last_ns
    ]


def stamps_of(node: Node) -> Path:
    """The file of a node's service."""
    return node.directory / STAMPS
