"""The control socket: how commands reach a running node.

A Unix socket ``state_dir/control.sock`` for the node's own account, and root. One request a
connection: a line of JSON ``{"command": ..., ...}``; one line comes back, ``{"ok": true,
"result": ...}`` or ``{"ok": false, "error": ..., "exit_code": ...}``, when the command is done.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import stat
import struct
import sys
from typing import Any, Final, cast

import trio

from sbs.errors import StateError
from sbs.runtime.operating import client
from sbs.runtime.operating.client import ASK_TIMEOUT_S, MAX_LINE_BYTES, SOCKET_NAME, reachable

__all__ = ["account_of", "ask", "bind", "read_line", "remove", "write_line"]

_CREDENTIALS: Final = struct.Struct("iII")
"""Process, user and group, as Linux's ``struct ucred`` has them."""


async def bind(state_dir: str) -> trio.SocketListener:
    """Serve the control socket of a node that holds the lock of ``state_dir``.

    Raises:
        StateError: it cannot be made; the text says why.
    """
    path = os.path.join(state_dir, SOCKET_NAME)
    with contextlib.ExitStack() as stack:  # a cancelled bind leaves nothing open
        sock = stack.enter_context(trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM))
        try:
            remove(state_dir)  # of a node that was killed: the lock says that it is gone
            with reachable(path) as name:
                await sock.bind(name)
            os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
            sock.listen(16)
        except OSError as error:
            raise StateError(
                f"control socket {path}: {error.strerror or error}; node.state_dir has to lie on a "
                "file system that has sockets, and SBS to write there"
            ) from error
        stack.pop_all()
    return trio.SocketListener(sock)


def remove(state_dir: str) -> None:
    """Remove the socket's file, if it is there."""
    path = os.path.join(state_dir, SOCKET_NAME)
    if os.path.lexists(path):
        os.unlink(path)


def account_of(stream: trio.SocketStream) -> int | None:
    """The account that connected; ``None`` where the system does not say.

    There the mode of the socket's file decides alone who gets in.
    """
    if sys.platform != "linux":
        return None
    said = stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(said)[1])


async def read_line(
    stream: trio.abc.Stream, *, most_bytes: int = MAX_LINE_BYTES
) -> dict[str, Any] | None:
    """Read one line of JSON; ``None`` if the other side closed before it was whole.

    Args:
        stream: to read from.
        most_bytes: of the line.

    Raises:
        ValueError: it is no JSON object, or longer than allowed.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        data = await stream.receive_some(65536)
        if not data:
            return None
        line += data
        if len(line) > most_bytes:
            raise ValueError(f"a line over {most_bytes} bytes")
    try:
        value: Any = json.loads(line)
    except RecursionError as error:
        raise ValueError("JSON nested too deep") from error
    if not isinstance(value, dict):
        raise ValueError("a line that is no JSON object")
    return cast(dict[str, Any], value)


async def write_line(stream: trio.abc.Stream, value: Any) -> None:
    """Write one line of JSON."""
    await stream.send_all(json.dumps(value).encode() + b"\n")


async def ask(
    state_dir: str, command: str, *, timeout_s: float = ASK_TIMEOUT_S, **arguments: Any
) -> Any:
    """As :func:`sbs.runtime.operating.client.ask`, from a trio task."""
    asking = functools.partial(client.ask, state_dir, command, timeout_s=timeout_s, **arguments)
    return await trio.to_thread.run_sync(asking, abandon_on_cancel=True)
