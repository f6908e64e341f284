"""The bytes of a pairing over a connection, each step with a time limit."""

from __future__ import annotations

from typing import Final

import trio

from sbs.errors import PairingError
from sbs.runtime.pairing.meeting import Meeting

STEP_S: Final = 10.0
"""Longest wait for the other side at each step: no person is waited for, only a link and a disk."""

PIECE_BYTES: Final = 16 * 1024
"""Most bytes taken at once: more than a side ever says."""

_AGAIN: Final = "run sbs pair again on both nodes"


async def hear(stream: trio.abc.Stream) -> bytes:
    """The next bytes; empty at the end.

    Raises:
        PairingError: none came in time, or the connection broke.
    """
    try:
        with trio.fail_after(STEP_S):
            return bytes(await stream.receive_some(PIECE_BYTES))
    except trio.TooSlowError as error:
        raise PairingError(f"the other node said nothing for {STEP_S:g} s; {_AGAIN}") from error
    except trio.BrokenResourceError as error:
        raise PairingError(f"the connection was lost; {_AGAIN}") from error


async def say(stream: trio.abc.Stream, meeting: Meeting) -> None:
    """Send what lies ready, if it may go yet.

    Raises:
        PairingError: it was not taken in time, or the connection broke.
    """
    data = meeting.pairing.outgoing()
    if not data:
        return
    await trio.sleep(meeting.pause_s())
    try:
        with trio.fail_after(STEP_S):
            await stream.send_all(data)
    except trio.TooSlowError as error:
        raise PairingError(f"the other node took nothing for {STEP_S:g} s; {_AGAIN}") from error
    except trio.BrokenResourceError as error:
        raise PairingError(f"the connection was lost; {_AGAIN}") from error
