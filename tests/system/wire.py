"""The cable between two hosts of a lab, replaced by one with delay, jitter and loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import require
from tests.system.netns import Lab, ip

BRIDGE = str(Path(__file__).with_name("bridge.py"))

HOSTS = ("a", "b")


class Wire:
    """A bridge that runs; made by :func:`wire`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def change(
        self,
        *,
        delay_s: float = 0.0,
        jitter_s: float = 0.0,
        loss: float = 0.0,
        senders: tuple[str, ...] = HOSTS,
    ) -> None:
        """Treat frames otherwise, from now on.

        Args:
            delay_s: of each.
            jitter_s: more or less than that, at most.
            loss: probability.
            senders: hosts whose frames are meant.
        """
        change = {"delay_s": delay_s, "jitter_s": jitter_s, "loss": loss}
        assert self._process.stdin is not None
        for sender in senders:
            print(json.dumps([HOSTS.index(sender), change]), file=self._process.stdin, flush=True)
            self._expect("done")

    def _expect(self, answer: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{answer}\n", "the bridge has ended"


@contextmanager
def wire(lab: Lab) -> Iterator[Wire]:
    """Replace the cable between the hosts ``a`` and ``b``; until changed it is a good one."""
    require("ip", root=True, devices=["/dev/net/tun"])
    names = [f"{host}{os.getpid()}" for host in HOSTS]
    with subprocess.Popen(
        [sys.executable, "-I", "-S", BRIDGE, *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        made = Wire(process)
        made._expect("ready")
        ip("-n", lab.namespace("a"), "link", "del", "to-b")
        for host, peer, name in (("a", "b", names[0]), ("b", "a", names[1])):
            space = lab.namespace(host)
            ip("link", "set", name, "netns", space, "name", f"to-{peer}")
            lab.connect(host, peer)
        try:
            yield made
        finally:
            assert process.stdin is not None
            process.stdin.close()
