"""The node that calls: it has an address and a code."""

from __future__ import annotations

import datetime as dt
from typing import Final

import trio

from sbs.adapters.transports.pairing import Side
from sbs.core.address import Address
from sbs.errors import DialRefusedError, SbsError, TransportError, UnreachableError
from sbs.ports import Transport
from sbs.runtime.pairing.meeting import Meeting, Paired, Party
from sbs.runtime.pairing.speaking import STEP_S, hear, say

_FIRST: Final = "run sbs pair on the other node first, and use the address that it shows"


async def call(
    address: Address, code: str, party: Party, now: dt.datetime, transport: Transport
) -> Paired:
    """Pair with the node that waits at ``address``.

    Args:
        address: where it waits.
        code: that it shows, as :func:`~sbs.adapters.transports.pairing.parse_code` returns it.
        party: this node.
        now: the time, with its zone.
        transport: carries the bytes, in plain: the code protects them.

    Raises:
        UnreachableError: nobody waits there.
        PairingError: the code is wrong, or it failed; the text says what is true now.
    """
    meeting = Meeting(Side.CALLER, code, party, now)
    async with await _dial(address, transport) as stream:
        try:
            await say(stream, meeting)
            while not meeting.pairing.has_ended:
                data = await hear(stream)
                try:
                    meeting.receive(data)
                finally:
                    await say(stream, meeting)
        except SbsError as error:
            return meeting.ended(error)
    return meeting.result()


async def _dial(address: Address, transport: Transport) -> trio.abc.Stream:
    try:
        with trio.fail_after(STEP_S):
            return await transport.dial(str(address))
    except trio.TooSlowError as error:
        raise UnreachableError(
            f"{address} does not answer in {STEP_S:g} s; {_FIRST}, and let firewalls pass its port"
        ) from error
    except DialRefusedError as error:
        raise UnreachableError(f"nobody waits at {address}; {_FIRST}") from error
    except TransportError as error:
        raise UnreachableError(f"{error}; {_FIRST}") from error
