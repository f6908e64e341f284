"""The fencer: a small separate process that outlives SBS just long enough to kill its services.

Run as a script, never imported by SBS; standard library only, so that it starts fast. It has no
threads: the kernel ties PR_SET_PDEATHSIG to the *thread* that forked, and a fork is only safe here.
``keeper.py`` runs in a fork of its own for each service, ``testament.py`` at the very end.

    SBS --- channel --- fencer --- keeper --- service, and all that descends from it
                               '-- keeper --- service

Each service has a keeper, a fork of the fencer. The keeper is the child subreaper of its service,
so daemons that cut themselves loose become its children and stay attributable. It ends when, and
only when, nothing of its service is left. The rule for the end is the same at each step: when the
end towards SBS closes, kill everything below, wait until it is gone and reaped, then exit.

All of these processes hold the channel and the descriptors SBS wants held (its listening socket).
So the peer of a dead SBS meets a refused connection, and SBS reads the end of the channel, only
when every service is dead, even if the fencer itself was killed (B31).

The channel is a SOCK_SEQPACKET socket; each packet is one JSON object of at most
MAX_MESSAGE_BYTES. SBS sends::

    {"do": "start", "run": 7, "argv": ["prog", ...], "environment": {"SBS_EPOCH": "2"}}
    {"do": "stop", "run": 7, "timeout_s": 5.0}
    {"do": "guard", "deadline_at": 1234.5, "grace_s": 5.0}
    {"do": "bequeath", "testament": "93534253..."}

and receives ``started`` with ``pid``, then ``exited`` with ``code`` (negative: the signal), or
``failed`` with ``text``. After ``exited`` and ``failed`` nothing of that run is left.

*guard*: when that time has come on CLOCK_BOOTTIME, and was not moved meanwhile, every service is
stopped, whatever SBS does: a frozen one cannot stop them itself (B3). Until it is moved on, no
service is started. *bequeath*: when SBS is dead, and then every service, these bytes are told to
whoever waits at a held socket or connects to it within a second; only then it is closed. An end
in order takes them back before.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING or __name__ != "__main__":
    from sbs.adapters.services.keeper import (
        LOOK_S,
        PR_SET_CHILD_SUBREAPER,
        Keeper,
        boottime,
        kill_descendants,
        leave_fork,
        prctl,
        report,
    )
    from sbs.adapters.services.testament import tell
else:
    # As a script it belongs to no package. All is loaded now: an upgrade may replace the files.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from keeper import (
        LOOK_S,
        PR_SET_CHILD_SUBREAPER,
        Keeper,
        boottime,
        kill_descendants,
        leave_fork,
        prctl,
        report,
    )
    from testament import tell

MAX_MESSAGE_BYTES = 65_536
"""Largest packet on the channel: far below the socket's buffer, far above a sane command line."""

DEATH_S = 1.0
"""How long SBS may take to vanish once its end of the channel is closed: it closes that last."""


class Handle:
    """What the fencer knows of a keeper."""

    def __init__(self, pid: int, commands: int) -> None:
        self.pid = pid
        self.pidfd: int = os.pidfd_open(pid)
        self.commands = commands

    def close(self) -> None:
        """Let go of the keeper, which it sees as the end."""
        os.close(self.commands)
        os.close(self.pidfd)


class Fencer:
    """Takes orders from SBS and hands them to the keepers."""

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.handles: dict[int, Handle] = {}
        self.poll: select.poll = select.poll()
        self.deadline_at: float = math.inf
        self.grace_s: float = 0.0
        self.expired: bool = False
        self.testament: bytes = b""
        self.parent: int = -1

    def serve(self, parent_pid: int) -> None:
        """Return when SBS is gone, or when a keeper was killed and nothing is certain any more."""
        try:
            self.parent = parent = os.pidfd_open(parent_pid)
        except ProcessLookupError:
            return
        if os.getppid() != parent_pid:
            return
        # The process is watched besides the channel: some fork of it might keep the channel open.
        self.poll.register(parent, select.POLLIN)
        self.poll.register(self.channel, select.POLLIN)
        while True:
            ready = {fd for fd, _ in self.poll.poll(self.wait_ms())}
            self.check_deadline()
            if parent in ready or not all(
                self.forget(run) for run, handle in [*self.handles.items()] if handle.pidfd in ready
            ):
                return
            if self.channel in ready and not self.obey():
                return

    def wait_ms(self) -> int | None:
        """How long nothing needs to be done unless something happens."""
        left_s = self.deadline_at - boottime()
        return None if left_s == math.inf else math.ceil(min(max(0.0, left_s), LOOK_S) * 1000)

    def check_deadline(self) -> None:
        """Stop every service if nobody has moved the deadline on."""
        if self.deadline_at < math.inf and boottime() >= self.deadline_at:
            # Whoever looks late, after a suspend, has no grace left to give.
            left_s = max(0.0, self.deadline_at + self.grace_s - boottime())
            self.deadline_at = math.inf
            self.expired = True
            for run in self.handles:
                self.stop(run, left_s)

    def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """Move the deadline; one in the past acts at once."""
        self.deadline_at = math.inf if deadline_at is None else deadline_at
        self.grace_s = grace_s
        self.expired = False
        self.check_deadline()

    def obey(self) -> bool:
        """Carry out one message; false at the end of the channel."""
        try:
            data = os.read(self.channel, MAX_MESSAGE_BYTES)
        except ConnectionResetError:  # SBS died with reports unread
            return False
        if not data:
            return False
        message = json.loads(data)
        what = message["do"]
        if what == "start":
            self.start(message["run"], message["argv"], message["environment"])
        elif what == "guard":
            self.guard(message["deadline_at"], message["grace_s"])
        elif what == "bequeath":
            self.testament = bytes.fromhex(message["testament"])
        elif message["run"] in self.handles:
            self.stop(message["run"], message["timeout_s"])
        return True

    def start(self, run: int, argv: list[str], environment: dict[str, str]) -> None:
        """Fork a keeper for the service."""
        if self.expired:
            text = "not started: the time until which services may run here has passed"
            report(self.channel, "failed", run, text=text)
            return
        commands, commands_end = os.pipe()
        try:
            pid = os.fork()
        except OSError as error:  # no process or memory to be had
            os.close(commands)
            os.close(commands_end)
            report(self.channel, "failed", run, text=f"{error.strerror}")
            return
        if pid == 0:
            status = 1
            try:
                os.close(commands_end)
                for other in self.handles.values():
                    other.close()  # or a keeper would not see the end of the fencer
                Keeper(self.channel, run, commands).keep(argv, environment)
                status = 0
            finally:
                leave_fork(status)
        os.close(commands)
        self.handles[run] = Handle(pid, commands_end)
        self.poll.register(self.handles[run].pidfd, select.POLLIN)

    def stop(self, run: int, timeout_s: float) -> None:
        """Pass the request on, unless the service ended meanwhile, which SBS will read."""
        try:
            os.write(self.handles[run].commands, b"%f\n" % timeout_s)
        except BrokenPipeError:
            return

    def forget(self, run: int) -> bool:
        """Reap a keeper; false when it did not end by itself, its work done."""
        handle = self.handles.pop(run)
        self.poll.unregister(handle.pidfd)
        handle.close()
        return os.waitpid(handle.pid, 0)[1] == 0

    def end(self) -> None:
        """Let the keepers kill their services, wait for them, then kill what strayed."""
        for handle in self.handles.values():
            handle.close()
        for handle in self.handles.values():
            os.waitpid(handle.pid, 0)
        kill_descendants()

    def is_orphan(self) -> bool:
        """Whether SBS is dead; it closes its end of the channel a moment before."""
        if self.parent < 0:
            return True
        poll = select.poll()
        poll.register(self.parent, select.POLLIN)
        return bool(poll.poll(DEATH_S * 1000))


def main(channel: int, parent_pid: int, held_fds: list[int]) -> None:
    """Serve until SBS is gone; close the held descriptors when every service is dead."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would reap behind our back
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for fd in (channel, *held_fds):
        os.set_inheritable(fd, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    fencer = Fencer(channel)
    try:
        fencer.serve(parent_pid)
    finally:
        fencer.end()
        if fencer.testament and fencer.is_orphan():
            tell(held_fds, fencer.testament)
        else:
            for fd in held_fds:
                os.close(fd)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), [int(fd) for fd in sys.argv[3:]])
