"""Real systemd as the first process of namespaces of its own; needs root, and touches nothing else.

Its root is an overlay of this machine's, so that all programs are there, and whatever is written
vanishes with it. What has to be seen from outside lies in :attr:`Box.shared`.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import ROOT, require, wait_until

MASKED = """
    getty.target systemd-logind.service systemd-udevd.service systemd-resolved.service
    systemd-networkd.service systemd-timesyncd.service systemd-sysctl.service
    systemd-modules-load.service systemd-remount-fs.service systemd-binfmt.service
    systemd-tmpfiles-setup.service systemd-random-seed.service sys-kernel-debug.mount
    sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount
"""
"""Units that have nothing to do in a box, or would look for hardware."""

OUTER = """
set -e
mount -t tmpfs -o size=512m tmpfs "$BOX"
mkdir "$BOX/new" "$BOX/work" "$BOX/root" "$BOX/groups"
mount -t cgroup2 none "$BOX/groups"
group="$BOX/groups/$GROUP"
mkdir "$group"
echo $$ >"$group/cgroup.procs"
umount -l "$BOX/groups"
exec unshare --pid --fork --kill-child --mount --uts --ipc $NET --cgroup sh -c "$INNER"
"""

INNER = """
set -e
mount -t overlay overlay -o "lowerdir=/,upperdir=$BOX/new,workdir=$BOX/work" "$BOX/root"
root=$BOX/root
for path in $SEEN; do
  mkdir -p "$root$path"
  mount --bind "$path" "$root$path"
done
cd "$root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do
  touch dev/$name
  mount --bind /dev/$name dev/$name
done
mkdir dev/shm dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir -p run/systemd etc/systemd/system
for unit in $MASKED; do ln -sf /dev/null etc/systemd/system/$unit; done
printf '[Unit]\\nRequires=dbus.socket\\nAfter=dbus.socket\\nAllowIsolate=yes\\n' \
  >etc/systemd/system/box.target
touch etc/machine-id
mkdir .old
pivot_root . .old
umount -l /.old
ip link set lo up
exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=box.target --log-target=console --show-status=0
"""

REMOVE = """
mount -t cgroup2 none "$BOX"
find "$BOX/$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null
"""

_numbers = itertools.count(1)


class Box:
    """A machine of its own, as far as systemd can tell.

    Args:
        directory: empty; for the box and what it shares.
        own_network: it has no network but its own loopback interface.
        seen: further directories that it shares with this machine, under their names.
    """

    def __init__(
        self, directory: Path, *, own_network: bool = True, seen: Sequence[Path] = ()
    ) -> None:
        self.shared = directory / "shared"
        self._log = directory / "log"
        self._place = directory / "box"
        self.shared.mkdir(parents=True)
        self._place.mkdir()
        places = dict.fromkeys(str(place) for place in (ROOT, sys.prefix, self.shared, *seen))
        own = Path("/proc/self/cgroup").read_text().splitlines()
        unified = next(line[3:] for line in own if line.startswith("0::"))
        self._environment = {
            **os.environ,
            "BOX": os.fspath(self._place),
            "GROUP": f"{unified.strip('/')}/sbs-box-{os.getpid()}-{next(_numbers)}".lstrip("/"),
            "SEEN": " ".join(places),
            "MASKED": MASKED,
            "INNER": INNER,
            "NET": "--net" if own_network else "",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def up(self) -> None:
        """Boot; return when systemd has started everything."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", OUTER],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._booted, "systemd is up")

    def _booted(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        try:
            name = Path(f"/proc/{children[0]}/comm").read_text()
        except (IndexError, FileNotFoundError, ProcessLookupError):  # not yet, or no more
            return False
        if name != "systemd\n":
            return False
        self.pid = int(children[0])
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def down(self) -> None:
        """Kill the first process, and with it everything in there."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        wait_until(lambda: not self.pid or not os.path.exists(f"/proc/{self.pid}"), "it is gone")
        self._process, self.pid = None, 0
        subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", REMOVE],
            env=self._environment,
            check=False,
        )

    def enter(self, *command: str) -> list[str]:
        """A command as it is run in the box, but outside of systemd's control groups."""
        spaces = ("--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup")
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        return ["nsenter", "--target", str(self.pid), *spaces, "env", "-i", path, *command]

    def run(
        self, *command: str, check: bool = True, timeout_s: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a tool in the box to its end."""
        done = subprocess.run(
            self.enter(*command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def service(self, *command: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a program in the box to its end, as a unit of its own, as root."""
        words = ("--quiet", "--wait", "--pipe", "--collect", f"--working-directory={ROOT}")
        return self.run("systemd-run", *words, "--", *command, check=False, timeout_s=timeout_s)

    def unit(self, name: str, text: str) -> None:
        """Install a unit file, or a drop-in; it counts after ``systemctl daemon-reload``."""
        file = Path(f"/proc/{self.pid}/root/etc/systemd/system/{name}")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()


@contextmanager
def shut_down(
    directory: Path, *, own_network: bool = True, seen: Sequence[Path] = ()
) -> Iterator[Box]:
    """A box that is not up yet, and is gone after the block."""
    require("unshare", "nsenter", "systemctl", "dbus-daemon", "ip", root=True)
    box = Box(directory, own_network=own_network, seen=seen)
    try:
        yield box
    finally:
        box.down()


@contextmanager
def booted(directory: Path) -> Iterator[Box]:
    """A box that is up, and is gone after the block."""
    with shut_down(directory) as box:
        box.up()
        yield box
