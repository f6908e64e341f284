"""Other programs that do the same: which are here, and rsync at work against its own daemon."""

from __future__ import annotations

import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.cost import Cost, Peaks, cpu_s, descendants
from tests.bench.disk import flush
from tests.support import free_ports, wait_until

PEERS: Final = {
    "rsync": ("rsync", "--version"),
    "lsyncd": ("lsyncd", "--version"),
    "keepalived": ("keepalived", "--version"),
}
"""What the benchmarks run beside SBS, with the command that tells its version."""

NOT_RUN: Final = ("unison", "rclone", "syncthing")
"""Not run here: measured once by hand, they were slower than rsync in every workload."""

CONFIG: Final = """\
use chroot = no
uid = {user}
gid = {group}
[target]
path = {path}
read only = no
"""

END_S: Final = 10.0


def installed(name: str) -> bool:
    """Whether a program is here."""
    return shutil.which(name) is not None


def missing() -> list[str]:
    """Peers that are not installed here."""
    return [name for name in PEERS if not installed(name)]


def versions() -> dict[str, str]:
    """Of the peers that are installed, the first line of what they say."""
    found: dict[str, str] = {}
    for name, command in PEERS.items():
        if installed(name):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found[name] = " ".join((done.stdout + done.stderr).splitlines()[0].split())
    return found


class Rsync:
    """An rsync daemon and what is pushed to it.

    Args:
        directory: for its configuration.
        target: an existing directory, where everything goes.
    """

    def __init__(self, directory: Path, target: Path) -> None:
        owner = directory.stat()
        self._target = target
        (self._port,) = free_ports(1)
        config = directory / "rsyncd.conf"
        config.write_text(CONFIG.format(path=target, user=owner.st_uid, group=owner.st_gid))
        address = ("--address=127.0.0.1", f"--port={self._port}")
        self._daemon = subprocess.Popen(
            ["rsync", "--daemon", "--no-detach", f"--config={config}", *address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    @property
    def url(self) -> str:
        """Where it takes files."""
        return f"rsync://127.0.0.1:{self._port}/target/"

    def wait_ready(self) -> None:
        """Wait until it listens."""
        wait_until(self._listens, "the rsync daemon listens")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def push(self, source: Path, *options: str) -> Cost:
        """Make the target what ``source`` is."""
        pid = self._daemon.pid
        used_s = cpu_s(pid) + _children_cpu_s()
        with Peaks(pid) as peaks:
            began_at = time.perf_counter()
            client = subprocess.Popen(
                ["rsync", "-a", "--delete", *options, f"{source}/", self.url],
                stdin=subprocess.DEVNULL,
            )
            peaks.add(client.pid)
            code = client.wait()
            said_s = time.perf_counter() - began_at
        flush(self._target)
        flushed_s = time.perf_counter() - began_at
        assert code == 0, f"rsync ends with {code}"
        wait_until(lambda: not descendants(pid), "the rsync daemon is idle", END_S)
        return Cost(
            said_s=said_s,
            flushed_s=flushed_s,
            cpu_s=cpu_s(pid) + _children_cpu_s() - used_s,
            peak_bytes=peaks.bytes,
        )

    def end(self) -> None:
        """End the daemon."""
        self._daemon.terminate()
        self._daemon.wait(END_S)


@contextmanager
def rsync(directory: Path, target: Path) -> Iterator[Rsync]:
    """A daemon that serves ``target``, which is made, until the block ends."""
    target.mkdir()
    daemon = Rsync(directory, target)
    try:
        daemon.wait_ready()
        yield daemon
    finally:
        daemon.end()


def _children_cpu_s() -> float:
    """Of the processes that this one has started and collected."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def lsyncd(directory: Path, source: Path, url: str, lines: str) -> Iterator[None]:
    """Have lsyncd push what changes in ``source`` until the block ends.

    Args:
        directory: for its configuration and log.
        source: what it watches.
        url: of an rsync daemon.
        lines: settings of ``sync`` beside source and target.
    """
    config = directory / "lsyncd.lua"
    config.write_text(
        f'settings {{ nodaemon = true, logfile = "{directory}/lsyncd.log" }}\n'
        f'sync {{ default.rsync, source = "{source}", target = "{url}", {lines} }}\n'
    )
    process = subprocess.Popen(
        ["lsyncd", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(END_S)
