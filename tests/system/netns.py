"""Two hosts and a third for the witness, as network namespaces on this machine; needs root."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs

from tests.support import require

_LABS: Final = itertools.count()

HOSTS: Final = ("a", "b", "w")


def ip(*words: str) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@attrs.frozen
class Lab:
    """Three namespaces, each pair of them joined by a cable of its own; ``with lab() as lab``."""

    name: str

    def namespace(self, host: str) -> str:
        """The namespace of a host."""
        return f"{self.name}{host}"

    def address(self, host: str, towards: str) -> str:
        """The address at which ``towards`` reaches ``host``."""
        cable = "".join(sorted((host, towards)))
        number = {"ab": 1, "aw": 2, "bw": 3}[cable]
        return f"10.99.{number}.{1 + cable.index(host)}"

    def run(self, host: str, *command: str) -> None:
        """Run a command on a host."""
        ip("netns", "exec", self.namespace(host), *command)

    def up(self) -> None:
        """Make hosts and cables."""
        for host in HOSTS:
            ip("netns", "add", self.namespace(host))
            ip("-n", self.namespace(host), "link", "set", "lo", "up")
        for one, other in itertools.combinations(HOSTS, 2):
            ends = (f"to-{other}", f"to-{one}")
            one_in, other_in = self.namespace(one), self.namespace(other)
            ip(
                *("link", "add", ends[0], "netns", one_in, "type", "veth"),
                *("peer", "name", ends[1], "netns", other_in),
            )
            self.connect(one, other)
            self.connect(other, one)

    def connect(self, host: str, peer: str) -> None:
        """Give a host its address on a cable, and use it."""
        space, end = self.namespace(host), f"to-{peer}"
        ip("-n", space, "addr", "add", f"{self.address(host, peer)}/24", "dev", end)
        ip("-n", space, "link", "set", end, "up")

    def down(self) -> None:
        """Remove everything; what runs in there must have ended."""
        for host in HOSTS:
            subprocess.run(
                ["ip", "netns", "del", self.namespace(host)], check=False, capture_output=True
            )

    def slow(self, sender: str, receiver: str, bytes_s: int) -> None:
        """What ``sender`` sends to ``receiver`` takes its time; small packets do not wait long.

        Args:
            sender: a host.
            receiver: another.
            bytes_s: that the cable carries in this direction.
        """
        words = ("qdisc", "replace", "dev", f"to-{receiver}", "root", "tbf")
        rate = ("rate", f"{8 * bytes_s}bit", "burst", "64kb", "latency", "50ms")
        self.run(sender, "tc", *words, *rate)

    def sent_bytes(self, sender: str, receiver: str) -> int:
        """What has gone from one host to another so far, headers and all."""
        words = ("ip", "-n", self.namespace(sender), "-s", "-j", "link", "show", f"to-{receiver}")
        done = subprocess.run(words, check=True, capture_output=True)
        (shown,) = json.loads(done.stdout)
        return int(shown["stats64"]["tx"]["bytes"])

    # Faults.

    def drop(self, sender: str, receiver: str) -> None:
        """Nothing that ``sender`` sends reaches ``receiver``; the other way is left alone."""
        self._rule("-I", sender, receiver)

    def undrop(self, sender: str, receiver: str) -> None:
        """Undo :meth:`drop`."""
        self._rule("-D", sender, receiver)

    def _rule(self, action: str, sender: str, receiver: str) -> None:
        source = self.address(sender, receiver)
        self.run(receiver, "iptables", "-w", action, "INPUT", "-s", source, "-j", "DROP")

    def cut(self, one: str, other: str) -> None:
        """Part two hosts."""
        self.drop(one, other)
        self.drop(other, one)

    def heal(self, one: str, other: str) -> None:
        """Undo :meth:`cut`."""
        self.undrop(one, other)
        self.undrop(other, one)

    def refuse(self, host: str, port: int, caller: int | None = None) -> None:
        """A host answers TCP to a port with a reset, like one where nothing listens.

        Args:
            host: that answers.
            port: of its own.
            caller: resets only what comes from this port: one connection, say.
        """
        words = ["-p", "tcp", "--dport", str(port)]
        if caller is not None:
            words += ["--sport", str(caller)]
        words += ["-j", "REJECT", "--reject-with", "tcp-reset"]
        self.run(host, "iptables", "-w", "-I", "INPUT", *words)

    def unplug(self, host: str) -> None:
        """Take all cables out of a host."""
        self._plug(host, "down")

    def plug_in(self, host: str) -> None:
        """Undo :meth:`unplug`."""
        self._plug(host, "up")

    def _plug(self, host: str, state: str) -> None:
        for peer in HOSTS:
            if peer != host:
                ip("-n", self.namespace(host), "link", "set", f"to-{peer}", state)

    def repair(self) -> None:
        """Undo every fault."""
        for host in HOSTS:
            self.run(host, "iptables", "-w", "-F", "INPUT")
            self.plug_in(host)


@contextmanager
def lab() -> Iterator[Lab]:
    """A lab that is gone after the block, and whose names nobody else uses."""
    require("ip", "iptables", root=True)
    made = Lab(f"sbs{os.getpid()}n{next(_LABS)}")
    try:
        made.up()
        yield made
    finally:
        made.down()
