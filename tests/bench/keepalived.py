"""keepalived as a peer in measurements: two of them on two hosts of a lab; needs root."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from tests.support import require, wait_until
from tests.system.netns import Lab

MASTER_PRIORITY: Final = 150
BACKUP_PRIORITY: Final = 100

# A host that takes its cable out takes the link from both: "dont_track_primary" lets the backup
# go on all the same, as it would at a switch.
CONFIG: Final = """\
global_defs {{
  script_user root
  enable_script_security
  vrrp_version 3
}}
vrrp_instance pair {{
  state BACKUP
  virtual_router_id 51
  interface {interface}
  dont_track_primary
  priority {priority}
  advert_int {advert_s:g}
  unicast_src_ip {source}
  unicast_peer {{ {peer} }}
  virtual_ipaddress {{ 10.99.1.100/24 }}
  notify_master "{script}"
}}
"""

END_S: Final = 8
"""How long keepalived may take to end in order."""


def down_interval_s(advert_s: float) -> float:
    """How long a backup waits for an advert (RFC 9568, 6.1, with the skew of its priority)."""
    return 3 * advert_s + (256 - BACKUP_PRIORITY) / 256 * advert_s


class Keepalived:
    """A VRRP pair: host ``a`` is master, ``b`` its backup.

    Args:
        directory: for its configuration and logs.
        lab: where it runs.
        advert_s: between two adverts, at least 0.01.
    """

    def __init__(self, directory: Path, lab: Lab, advert_s: float) -> None:
        require("keepalived")
        self._directory = directory
        self._lab = lab
        self._advert_s = advert_s
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def mark(self, host: str) -> Path:
        """The file in which a host's notify script writes when it became master."""
        return self._directory / f"master.{host}"

    def start(self) -> None:
        """Start both; return when one is master and the other its backup."""
        self._start("a", "b", MASTER_PRIORITY)
        wait_until(lambda: read_mark(self.mark("a")), "keepalived is master")
        self._start("b", "a", BACKUP_PRIORITY)
        log = self._directory / "log.b"
        wait_until(lambda: b"Entering BACKUP STATE" in log.read_bytes(), "keepalived is backup")

    def _start(self, host: str, peer: str, priority: int) -> None:
        directory = self._directory
        script = directory / f"notify.{host}"
        script.write_text(f"#!/bin/sh\ndate +%s.%N > {self.mark(host)}\n")
        script.chmod(0o755)
        config = directory / f"{host}.conf"
        config.write_text(
            CONFIG.format(
                interface=f"to-{peer}",
                priority=priority,
                advert_s=self._advert_s,
                source=self._lab.address(host, peer),
                peer=self._lab.address(peer, host),
                script=script,
            )
        )
        files = (f"--pid={directory}/pid.{host}", f"--vrrp_pid={directory}/vrrp-pid.{host}")
        prefix = ("ip", "netns", "exec", self._lab.namespace(host))
        with (directory / f"log.{host}").open("ab") as log:
            self._processes[host] = subprocess.Popen(
                [*prefix, "keepalived", "-n", "-l", "-D", f"--use-file={config}", *files],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """``kill -9`` of the master: its process and its worker's."""
        for name in ("vrrp-pid", "pid"):
            os.kill(int((self._directory / f"{name}.a").read_text()), signal.SIGKILL)

    def end(self) -> None:
        """End both in any case."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def read_mark(path: Path) -> float | None:
    """When a mark was written, in seconds since 1970; ``None``: not yet."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    return float(text.splitlines()[-1]) if text.endswith("\n") else None
