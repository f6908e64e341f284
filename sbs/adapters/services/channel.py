"""SBS's end of the channel to its fencer; ``fencer.py`` describes what travels on it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs
import trio

from sbs.errors import ServiceError

MAX_MESSAGE_BYTES = 65_536
"""Largest message, as in ``fencer.py``, which this process never imports."""

MAX_QUOTED_BYTES = 100
"""Of a report that makes no sense, in an error."""

CHANNEL_BYTES = 212_992
"""Buffer for reports, which the kernel doubles: two small ones of each of MAX_UNITS services fit. A
keeper that waited for a frozen SBS to read could not stop its service at the deadline (B3)."""

_FENCER = Path(__file__).with_name("fencer.py")


@attrs.frozen
class Started:
    """The program of ``run`` was executed as process ``pid``."""

    run: int
    pid: int


@attrs.frozen
class Exited:
    """Nothing of ``run`` is left; its program ended with ``code``, negative for a signal."""

    run: int
    code: int


@attrs.frozen
class Failed:
    """The program of ``run`` could not be executed; ``text`` says why."""

    run: int
    text: str


Report: TypeAlias = Started | Exited | Failed


def start_message(run: int, argv: Sequence[str], environment: Mapping[str, str]) -> bytes:
    """The request to start a program.

    Args:
        run: a number that was not used before on this channel.
        argv: program and arguments; the program is searched for on PATH.
        environment: added to the fencer's own, which is SBS's.

    Raises:
        ServiceError: the message would exceed :data:`MAX_MESSAGE_BYTES`.
    """
    data = json.dumps(
        {"do": "start", "run": run, "argv": [*argv], "environment": {**environment}}
    ).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise ServiceError(
            f"command and environment take {len(data)} bytes: at most {MAX_MESSAGE_BYTES} "
            "are allowed; pass long settings in a file"
        )
    return data


def stop_message(run: int, timeout_s: float) -> bytes:
    """The request to end ``run``, gently at first, by force after ``timeout_s`` seconds."""
    return json.dumps({"do": "stop", "run": run, "timeout_s": timeout_s}).encode()


def guard_message(deadline_at: float | None, grace_s: float) -> bytes:
    """The request to stop everything at a time on CLOCK_BOOTTIME, unless it is moved."""
    return json.dumps({"do": "guard", "deadline_at": deadline_at, "grace_s": grace_s}).encode()


def bequeath_message(testament: bytes) -> bytes:
    """The request to tell something when SBS and every service are dead; empty: nothing.

    Raises:
        ServiceError: the message would exceed :data:`MAX_MESSAGE_BYTES`.
    """
    data = json.dumps({"do": "bequeath", "testament": testament.hex()}).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise ServiceError(f"a testament of {len(testament)} bytes is too long")
    return data


def _parse_report(data: bytes) -> Report:
    """A report of the fencer.

    Raises:
        ServiceError: it is none.
    """
    match report_of(data):
        case {"report": "started", "run": int(run), "pid": int(pid)}:
            return Started(run, pid)
        case {"report": "exited", "run": int(run), "code": int(code)}:
            return Exited(run, code)
        case {"report": "failed", "run": int(run), "text": str(text)}:
            return Failed(run, text)
        case _:
            raise unknown_report(data)


def report_of(data: bytes) -> object:
    """What a packet of a fencer holds.

    Raises:
        ServiceError: nothing.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise unknown_report(data) from error


def unknown_report(data: bytes) -> ServiceError:
    """The error for a packet that makes no sense."""
    return ServiceError(f"the fencer sent an unknown report {data[:MAX_QUOTED_BYTES]!r}")


def open_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a channel: SBS's, and the fencer's with room for its reports."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHANNEL_BYTES)
    return ours, theirs


class Channel:
    """One running fencer and the socket to it; made by :meth:`spawn`."""

    def __init__(self, process: trio.Process, sock: trio.socket.SocketType) -> None:
        self.process = process
        self._sock = sock

    @classmethod
    async def spawn(
        cls, held_fds: Sequence[int], fencer: Path = _FENCER, arguments: Sequence[str] = ()
    ) -> Channel:
        """Start a fencer which keeps ``held_fds`` open until every service is dead.

        Args:
            held_fds: descriptors.
            fencer: its script.
            arguments: what that one needs besides.

        Raises:
            ServiceError: the process cannot be started.
        """
        # Not sys.executable alone: an embedding program may leave it empty.
        if not sys.executable:
            raise ServiceError(
                "no Python interpreter is known to run the fencer with: set sys.executable to one"
            )
        ours, theirs = open_pair()
        numbers = [str(theirs.fileno()), str(os.getpid()), ",".join(map(str, held_fds))]
        try:
            # In a session of its own: Ctrl-C, which the terminal sends to the whole foreground
            # group, is for SBS alone.
            process = await trio.lowlevel.open_process(
                [sys.executable, "-I", "-S", os.fspath(fencer), *numbers, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *held_fds),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise ServiceError(f"cannot start the fencer: {error}") from error
        except trio.Cancelled:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, trio.socket.from_stdlib_socket(ours))

    async def send(self, message: bytes) -> None:
        """Send one message whole; to a dead fencer it is lost, which :meth:`reports` will tell."""
        try:
            await self._sock.send(message)
        except (BrokenPipeError, ConnectionResetError):
            await trio.lowlevel.checkpoint()

    async def reports(self) -> AsyncIterator[Report]:
        """Yield until the channel ends: then the fencer and every service of it are gone."""
        async for data in self.packets():
            yield _parse_report(data)

    async def packets(self) -> AsyncIterator[bytes]:
        """What the fencer sends, until the channel ends."""
        while True:
            try:
                data = await self._sock.recv(MAX_MESSAGE_BYTES)
            except ConnectionResetError:  # it died with requests unread
                return
            if not data:
                return
            yield data

    def end(self) -> None:
        """Ask the fencer to kill what runs and to exit; the end is read by :meth:`reports`."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:  # ENOTCONN: it is gone already
            return

    def close(self) -> None:
        """Release the socket."""
        self._sock.close()
