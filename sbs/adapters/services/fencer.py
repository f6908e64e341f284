"""The fencer: a small separate process that outlives SBS just long enough to kill its services.

Run as a script, never imported by SBS; standard library only, so that it starts fast. It has no
threads: the kernel ties PR_SET_PDEATHSIG to the *thread* that forked, and a fork is only safe here.
``keeper.py`` runs in a fork of its own for each service, ``testament.py`` at the very end;
``survivor.py`` is what this fencer shares with that of units (``systemd/fencer.py``).

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

import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING or __name__ != "__main__":
    from sbs.adapters.services.keeper import Keeper, kill_descendants, leave_fork, report
    from sbs.adapters.services.survivor import (
        MAX_MESSAGE_BYTES,
        Survivor,
        numbers,
        outlive,
        prepare,
    )
else:
    # As a script it belongs to no package. All is loaded now: an upgrade may replace the files.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from keeper import Keeper, kill_descendants, leave_fork, report
    from survivor import MAX_MESSAGE_BYTES, Survivor, numbers, outlive, prepare
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MAX_MESSAGE_BYTES", "Fencer", "Handle"]


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


class Fencer(Survivor):
    """Takes orders from SBS and hands them to the keepers."""

    def __init__(self, channel: int) -> None:
        super().__init__(channel)
        self.handles: dict[int, Handle] = {}

    def look(self, ready: set[int]) -> bool:
        """Reap keepers; false when one was killed and nothing is certain any more."""
        return all(
            self.forget(run) for run, handle in [*self.handles.items()] if handle.pidfd in ready
        )

    def stop_all(self, left_s: float) -> None:
        """Stop every service, gently at first."""
        for run in self.handles:
            self.stop(run, left_s)

    def take(self, message: dict[str, Any]) -> None:
        """Start a service, or stop one."""
        if message["do"] == "start":
            self.start(message["run"], message["argv"], message["environment"])
        elif message["run"] in self.handles:
            self.stop(message["run"], message["timeout_s"])

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


def main(channel: int, parent_pid: int, held_fds: list[int]) -> None:
    """Serve until SBS is gone; close the held descriptors when every service is dead."""
    prepare(channel, held_fds)
    outlive(Fencer(channel), parent_pid, held_fds)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), numbers(sys.argv[3]))
