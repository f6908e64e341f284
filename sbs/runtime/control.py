"""The control socket: how commands reach a running node.

A Unix socket ``state_dir/control.sock`` for the node's own account. One request a connection: a
line of JSON ``{"command": ..., ...}``; one line comes back, ``{"ok": true, "result": ...}`` or
``{"ok": false, "error": ..., "exit_code": ...}``, when the command is done.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import trio

from sbs.errors import NotRunningError, RefusedError, SbsError, StateError

SOCKET_NAME: Final = "control.sock"

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""Longest request or answer: a status with all its alarms and problems is far smaller."""

MAX_SOCKET_PATH: Final = 107
"""Longest path of a Unix socket on Linux, without its final NUL."""

ASK_TIMEOUT_S: Final = 10.0
"""How long a node may take to answer a request that needs no work."""


@contextmanager
def reachable(path: str) -> Iterator[str]:
    """A name for the socket ``path`` that is short enough to connect or bind to."""
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        yield path
        return
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/dev/fd/{directory}/{os.path.basename(path)}"
    finally:
        os.close(directory)


async def bind(state_dir: str) -> trio.SocketListener:
    """Serve the control socket of a node that holds the lock of ``state_dir``.

    Raises:
        StateError: it cannot be made; the text says why.
    """
    path = os.path.join(state_dir, SOCKET_NAME)
    sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        remove(state_dir)  # of a node that was killed: the lock says that it is gone
        with reachable(path) as name:
            await sock.bind(name)
        os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
        sock.listen(16)
    except OSError as error:
        sock.close()
        raise StateError(f"control socket {path}: {error.strerror or error}") from error
    return trio.SocketListener(sock)


def remove(state_dir: str) -> None:
    """Remove the socket's file, if it is there."""
    path = os.path.join(state_dir, SOCKET_NAME)
    if os.path.lexists(path):
        os.unlink(path)


async def read_line(stream: trio.abc.Stream) -> Any:
    """Read one line of JSON; ``None`` if the other side closed before it was whole.

    Raises:
        ValueError: it is no JSON, or longer than :data:`MAX_LINE_BYTES`.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        data = await stream.receive_some(65536)
        if not data:
            return None
        line += data
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"a line over {MAX_LINE_BYTES} bytes")
    return json.loads(line)


async def write_line(stream: trio.abc.Stream, value: Any) -> None:
    """Write one line of JSON."""
    await stream.send_all(json.dumps(value).encode() + b"\n")


async def ask(
    state_dir: str, command: str, *, timeout_s: float = ASK_TIMEOUT_S, **arguments: Any
) -> Any:
    """Send a command to the node that runs with ``state_dir``.

    Args:
        state_dir: of the node.
        command: see :mod:`sbs.runtime.requests`.
        timeout_s: how long to wait for the answer; ``math.inf`` for commands that take time.
        arguments: of the command.

    Returns:
        the command's result.

    Raises:
        NotRunningError: no node runs there, or it does not answer.
        RefusedError: the node refuses.
        SbsError: the command failed.
    """
    path = os.path.join(state_dir, SOCKET_NAME)
    try:
        with trio.fail_after(timeout_s), reachable(path) as name:
            async with await trio.open_unix_socket(name) as stream:
                await write_line(stream, {"command": command, **arguments})
                answer = await read_line(stream)
    except trio.TooSlowError as error:
        raise NotRunningError(f"the node at {path} did not answer in {timeout_s:g} s") from error
    except PermissionError as error:
        raise NotRunningError(f"{path}: not permitted; run this as the node's account") from error
    except (OSError, trio.BrokenResourceError) as error:
        raise NotRunningError(f"no node is running with state_dir {state_dir}") from error
    if answer is None:
        raise NotRunningError(f"the node at {path} ended before it answered")
    if answer["ok"]:
        return answer["result"]
    kind = RefusedError if answer["exit_code"] == RefusedError.exit_code else SbsError
    raise kind(answer["error"])
