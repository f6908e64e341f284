"""Three machines with real systemd on one network, as the how-to pages have them; needs root.

``alpha`` is 192.0.2.1, ``beta`` 192.0.2.2, and ``gamma`` 192.0.2.3, for what stands beside a pair:
a load balancer, a witness, a client. SBS is on all.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.adapters.tls_rig import Identities
from tests.docs.blocks import ROOT
from tests.system.netns import ip
from tests.systemd.box import Box, shut_down

ADDRESSES: Final = {"alpha": "192.0.2.1", "beta": "192.0.2.2", "gamma": "192.0.2.3"}

SBS: Final = f'#!/bin/sh\nexec {sys.executable} -m sbs.cli "$@"\n'
"""The command as an installation has it on its PATH."""

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SHELL: Final = 'cd "$0" && exec bash -euo pipefail -c "$1"'


class Machines:
    """The three, by name.

    Args:
        boxes: not up yet.
        identities: of the nodes.
        share: a directory that all see under this name; it stands for a network share.
    """

    def __init__(self, boxes: dict[str, Box], identities: Identities, share: Path) -> None:
        self.boxes = boxes
        self.share = share
        self._identities = identities

    def run(self, name: str, text: str, timeout_s: float = 60.0) -> tuple[int, str]:
        """Type commands in a copy of SBS's sources; exit code, and what is printed."""
        box = self.boxes[name]
        done = subprocess.run(
            box.enter("env", f"PATH={PATH}", "sh", "-c", SHELL, str(ROOT), text),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return done.returncode, done.stdout

    def path(self, name: str, path: str) -> Path:
        """Where a file of a machine is, seen from here."""
        return Path(f"/proc/{self.boxes[name].pid}/root{path}")

    def write(self, name: str, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of a machine."""
        there = self.path(name, path)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(text, "utf-8")
        there.chmod(mode)

    def boot(self, name: str) -> None:
        """Boot a machine, with nothing on it but what the pages begin with."""
        box = self.boxes[name]
        box.up()
        box.run("hostname", name)
        self.write(name, "/usr/local/bin/sbs", SBS, 0o755)

    def join(self) -> None:
        """Put them on one network: ``gamma`` is its switch as well."""
        gamma = self.boxes["gamma"]
        gamma.run("ip", "link", "add", "eth0", "type", "bridge")
        for name in ("alpha", "beta"):
            pids = str(self.boxes[name].pid), str(gamma.pid)
            ends = ("eth0", "netns", pids[0], "type", "veth"), (f"to-{name}", "netns", pids[1])
            ip("link", "add", *ends[0], "peer", "name", *ends[1])
            gamma.run("ip", "link", "set", f"to-{name}", "master", "eth0", "up")
        for name, address in ADDRESSES.items():
            box = self.boxes[name]
            box.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
            box.run("ip", "link", "set", "eth0", "up")

    def introduce(self) -> None:
        """What ``sbs pair`` leaves in ``/etc/sbs``; pages on that are tested by themselves."""
        for own, other in (("alpha", "beta"), ("beta", "alpha")):
            identity = Path(self._identities.path(own)).read_text()
            self.write(own, "/etc/sbs/identity.pem", identity, 0o600)
            self.write(own, "/etc/sbs/peer.pem", Path(self._identities.pins(other)).read_text())


@contextmanager
def three_machines(directory: Path) -> Iterator[Machines]:
    """Booted and joined; they are gone after the block."""
    with ExitStack() as stack:
        share = directory / "share"
        share.mkdir(mode=0o755)
        boxes = {
            name: stack.enter_context(shut_down(directory / name, seen=[share]))
            for name in ADDRESSES
        }
        machines = Machines(boxes, Identities(directory), share)
        with ThreadPoolExecutor(len(boxes)) as pool:
            list(pool.map(machines.boot, boxes))
        machines.join()
        yield machines
