"""Commands to a running node, through its control socket, without an event loop.

Imports nothing but the standard library: ``sbs status`` shall not cost more than it shows.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

from sbs.errors import NotRunningError, RefusedError, SbsError

SOCKET_NAME: Final = "control.sock"

LOCK_NAME: Final = "lock"
"""In ``state_dir``; locked for as long as a node uses the directory."""

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""Longest request or answer: a status with all its alarms and problems is far smaller."""

MAX_SOCKET_PATH: Final = 107
"""Longest path of a Unix socket on Linux, without its final NUL."""

ASK_TIMEOUT_S: Final = 10.0
"""How long a node may take to answer a request that needs no work."""

END_INTERVAL_S: Final = 0.01
"""Pause between two looks whether a node that stops has let go of its directory."""


class NoNodeError(NotRunningError):
    """Nothing serves the control socket: no node runs with this state directory."""

    remedy = "Start it: systemctl start sbs if SBS is a service here, else sbs run -c FILE."


class EndedError(NotRunningError):
    """The node took the request, and ended before it answered."""

    remedy = "The log of the node says why it ended."


@contextmanager
def reachable(path: str) -> Generator[str]:
    """A name for the socket ``path`` that is short enough to connect or bind to."""
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        yield path
        return
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/dev/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)


def ask(state_dir: str, command: str, *, timeout_s: float = ASK_TIMEOUT_S, **arguments: Any) -> Any:
    """Send a command to the node that runs with ``state_dir``, and wait for its answer.

    Args:
        state_dir: of the node.
        command: see :mod:`sbs.runtime.operating.requests`.
        timeout_s: how long to wait for the answer; ``math.inf`` for commands that take time.
        arguments: of the command.

    Returns:
        the command's result.

    Raises:
        NotRunningError: no node runs there, it does not answer, or it ended.
        RefusedError: the node refuses.
        SbsError: the command failed.
    """
    request = json.dumps({"command": command, **arguments}).encode() + b"\n"
    path = os.path.join(state_dir, SOCKET_NAME)
    return _result(_exchange(path, request, timeout_s), path)


def _result(line: bytes, path: str) -> Any:
    """What an answer says of the command.

    Raises:
        RefusedError: the node refuses.
        SbsError: the command failed, or the answer is none of SBS.
    """
    try:
        answer = json.loads(line)
        if answer["ok"]:
            return answer["result"]
        text, code = str(answer["error"]), answer["exit_code"]
        remedy = str(answer.get("remedy", ""))  # a node of an older release does not tell
    except (ValueError, TypeError, KeyError, RecursionError) as nonsense:
        raise SbsError(
            f"{path}: an answer that makes no sense: not a node of SBS, see what listens there"
        ) from nonsense
    error = (RefusedError if code == RefusedError.exit_code else SbsError)(text)
    error.remedy = remedy
    raise error


def _exchange(path: str, request: bytes, timeout_s: float) -> bytes:
    give_up_at = time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, reachable(path) as name:
            sock.settimeout(_rest_s(give_up_at))
            sock.connect(name)
            with suppress(BrokenPipeError):  # a node that does not listen has said why
                sock.sendall(request)
            return _read_line(sock, path, give_up_at)
    except TimeoutError as error:
        raise NotRunningError(
            f"the node at {path} did not answer in {timeout_s:g} s; its log says what it does"
        ) from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NoNodeError(f"no node is running with state_dir {os.path.dirname(path)}") from error
    except PermissionError as error:
        raise NotRunningError(f"{path}: not permitted; run this as the node's account") from error
    except (BrokenPipeError, ConnectionResetError) as error:
        raise EndedError(f"the node at {path} ended before it answered") from error
    except OSError as error:
        raise NotRunningError(
            f"{path}: {error.strerror or error}; it has to be the control socket of node.state_dir"
        ) from error


def _read_line(sock: socket.socket, path: str, give_up_at: float) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        sock.settimeout(_rest_s(give_up_at))
        data = sock.recv(65536)
        if not data:
            raise EndedError(f"the node at {path} ended before it answered")
        line += data
        if len(line) > MAX_LINE_BYTES:
            raise SbsError(
                f"{path}: the answer is over {MAX_LINE_BYTES} bytes: not a node of SBS, see what "
                "listens there"
            )
    return bytes(line)


def _rest_s(give_up_at: float) -> float | None:
    """For :meth:`socket.settimeout`, where 0 would mean not to wait, and ``None`` for ever."""
    if math.isinf(give_up_at):
        return None
    return max(0.001, give_up_at - time.monotonic())


def stop(state_dir: str, *, force: bool = False) -> str:
    """End the node that runs with ``state_dir`` in order (R8); return when it has ended.

    Args:
        state_dir: of the node.
        force: although its role could not be handed over.

    Returns:
        why a primary has not handed its role over; empty: it has, or was none, or was ended at
        once meanwhile.

    Raises:
        NotRunningError: no node runs there, or it cannot be reached.
        RefusedError: a handover would fail, and it is not forced.
    """
    kept = ""
    with suppress(EndedError):  # its end is the answer
        kept = ask(state_dir, "stop", timeout_s=math.inf, force=force)["not_handed_over"]
    while _locked(state_dir):
        time.sleep(END_INTERVAL_S)
    return str(kept)


def _locked(state_dir: str) -> bool:
    try:
        fd = os.open(os.path.join(state_dir, LOCK_NAME), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
