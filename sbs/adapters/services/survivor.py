"""Part of every fencer: a process that outlives SBS just long enough to end its services.

Standard library only, and no threads; ``fencer.py`` says what travels on the channel. What the
services are, and how they end, is a subclass's business: processes (``fencer.py``), or the units of
a service manager (``systemd/fencer.py``).
"""

from __future__ import annotations

import json
import math
import os
import select
import signal

TYPE_CHECKING = False
if TYPE_CHECKING or __package__:
    from sbs.adapters.services.keeper import LOOK_S, PR_SET_CHILD_SUBREAPER, boottime, prctl
    from sbs.adapters.services.testament import tell
else:  # a fencer runs as a script, and belongs to no package
    from keeper import LOOK_S, PR_SET_CHILD_SUBREAPER, boottime, prctl
    from testament import tell
if TYPE_CHECKING:
    from typing import Any

MAX_MESSAGE_BYTES = 65_536
"""Largest packet on the channel: far below the socket's buffer, far above a sane command line."""

DEATH_S = 1.0
"""How long SBS may take to vanish once its end of the channel is closed: it closes that last."""


class Survivor:
    """Takes orders from SBS, keeps the deadline of its services, and has the last word.

    Args:
        channel: to SBS.
    """

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self.poll: select.poll = select.poll()
        self.deadline_at: float = math.inf
        self.grace_s: float = 0.0
        self.expired: bool = False
        self.testament: bytes = b""
        self.parent: int = -1

    # What the services are.

    def stop_all(self, left_s: float) -> None:
        """Stop every service: gently at first, by force after ``left_s`` seconds."""
        raise NotImplementedError

    def end(self) -> None:
        """Kill every service; return when all of them are gone."""
        raise NotImplementedError

    def look(self, ready: set[int]) -> bool:  # noqa: ARG002 - for subclasses
        """Take in what is ready beside SBS; false when nothing is certain any more."""
        return True

    def take(self, message: dict[str, Any]) -> None:
        """Carry out a message that only this kind of fencer knows."""
        raise NotImplementedError

    # What all have in common.

    def serve(self, parent_pid: int) -> None:
        """Return when SBS is gone, or when nothing is certain any more."""
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
            if parent in ready or not self.look(ready):
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
            self.stop_all(left_s)

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
        if what == "guard":
            self.guard(message["deadline_at"], message["grace_s"])
        elif what == "bequeath":
            self.testament = bytes.fromhex(message["testament"])
        else:
            self.take(message)
        return True

    def is_orphan(self) -> bool:
        """Whether SBS is dead; it closes its end of the channel a moment before."""
        if self.parent < 0:
            return True
        poll = select.poll()
        poll.register(self.parent, select.POLLIN)
        return bool(poll.poll(DEATH_S * 1000))


def prepare(channel: int, held_fds: list[int]) -> None:
    """Make this process one that no signal of a terminal ends, and whose orphans stay with it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would reap behind our back
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for fd in (channel, *held_fds):
        os.set_inheritable(fd, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def numbers(word: str) -> list[int]:
    """Descriptors as an argument of a fencer names them: separated by commas, perhaps none."""
    return [int(number) for number in word.split(",") if number]


def outlive(survivor: Survivor, parent_pid: int, held_fds: list[int]) -> None:
    """Serve until SBS is gone; close the held descriptors when every service is dead."""
    try:
        survivor.serve(parent_pid)
    finally:
        survivor.end()
        if survivor.testament and survivor.is_orphan():
            tell(held_fds, survivor.testament)
        else:
            for fd in held_fds:
                os.close(fd)
