"""What can be told of a node before it has ever run: the rows of ``sbs init`` (B60, B62)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import trio

from sbs.adapters.transports.tcp import TcpTransport
from sbs.config import Config
from sbs.config.permissions import displaced
from sbs.core.address import Address
from sbs.errors import DialRefusedError, TransportError
from sbs.runtime.probing.checks import Check, Result
from sbs.runtime.probing.premises import PREMISES, output_of
from sbs.runtime.probing.probe import find_way

_ADDRESS: Final = "machine.address"


async def look_beforehand(config: Config) -> tuple[Check, ...]:
    """Check what a new configuration asks of this machine, and of the way to the other one.

    Args:
        config: of a node that does not run yet.

    Returns:
        a row each; what cannot be told is left out.
    """
    peer = config.node.peer
    checks = [*await find_way(peer, config)]
    if all(check.result is Result.PASS for check in checks):
        checks.append(await _peer_check(config))
    checks.append(await _listen_check(config.node.listen))
    checks += await trio.to_thread.run_sync(lambda: [*_machine_checks(config)])
    return tuple(checks)


async def answers(address: Address, bound_s: float) -> bool:
    """Whether something takes calls at an address; says nothing to it.

    Args:
        address: of another machine.
        bound_s: longest wait, in seconds.
    """
    with trio.move_on_after(bound_s):
        try:
            stream = await TcpTransport().dial(str(address))
        except TransportError:
            return False
        await stream.aclose()
        return True
    return False


async def _peer_check(config: Config) -> Check:
    """Whether the other machine is there; no node is expected on it yet."""
    peer, bound_s = config.node.peer, config.failover.probe_timeout_s
    result, hint = Result.WARN, "is the machine on, and the port open in every firewall?"
    try:
        with trio.fail_after(bound_s):
            stream = await TcpTransport().dial(str(peer))
    except trio.TooSlowError:
        detail = f"{peer}: no answer within {bound_s:g} s"
    except DialRefusedError:
        detail, result, hint = (
            f"the machine answers; nothing listens at {peer} yet",
            Result.PASS,
            "",
        )
    except TransportError as error:
        detail = str(error)
    else:
        await stream.aclose()
        detail, result, hint = f"something listens at {peer}", Result.PASS, ""
    return Check(name="tcp", result=result, detail=detail, hint=hint)


async def _listen_check(listen: Address) -> Check:
    """Whether this machine has the address, and the port is free."""
    try:
        listener = await TcpTransport(bind_bound_s=0).listen(str(listen))
    except TransportError as error:
        hint = "name an address of this machine, and a port that no other program holds"
        return Check(name="node.listen", result=Result.WARN, detail=str(error), hint=hint)
    await listener.aclose()
    return Check(name="node.listen", result=Result.PASS, detail=f"{listen} can be served here")


def _machine_checks(config: Config) -> Iterator[Check]:
    premise = PREMISES[_ADDRESS]
    result, detail = premise.look(config)
    hint = "" if result is Result.PASS else premise.hint
    yield Check(name=_ADDRESS, result=result, detail=detail, hint=hint)
    yield from _clock_check()
    yield _state_check(config.node.state_dir)
    for folder in config.folders:
        yield _folder_check(folder.name, folder.path)


def _clock_check() -> Iterator[Check]:
    """Whether a time service sets the clock, where systemd knows it."""
    match (output_of("timedatectl", "show", "--property=NTPSynchronized", "--value") or "").strip():
        case "yes":
            yield Check(name="clock", result=Result.PASS, detail="set by a time service")
        case "no":
            hint = "let both machines take their time from a time service (NTP)"
            detail = "no time service sets it"
            yield Check(name="clock", result=Result.WARN, detail=detail, hint=hint)
        case _:
            return


def _state_check(state_dir: str) -> Check:
    """Whether this account may make the directory, or write in it, and others may not."""
    here = state_dir
    while not os.path.lexists(here):
        here = os.path.dirname(here)
    detail, result, hint = (
        f"{state_dir}: {'is there' if here == state_dir else 'can be made'}",
        Result.PASS,
        "",
    )
    if not os.path.isdir(here):
        detail, result = f"{here} is no directory", Result.FAIL
    elif not os.access(here, os.W_OK | os.X_OK):
        detail, result = f"{here}: this account may not write there", Result.WARN
    elif why := displaced(os.path.join(here, "state")):
        detail, result = why, Result.WARN
    if result is not Result.PASS:
        hint = (
            "run the node as an account that alone may write there, or name another node.state_dir"
        )
    return Check(name="node.state_dir", result=result, detail=detail, hint=hint)


def _folder_check(name: str, path: str) -> Check:
    """Whether what shall be replicated is there; the secondary makes what it lacks."""

    def check(result: Result, detail: str, hint: str = "") -> Check:
        return Check(name=f"folder {name}", result=result, detail=detail, hint=hint)

    if os.path.isdir(path):
        return check(Result.PASS, f"{path} is there")
    if os.path.lexists(path):
        return check(Result.FAIL, f"{path} is no directory", "name a directory in [[folders]]")
    hint = "the secondary makes it; on the node that has the data, correct path in [[folders]]"
    return check(Result.WARN, f"{path} does not exist", hint)
