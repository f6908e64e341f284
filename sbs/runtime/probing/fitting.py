"""Whether the peer fits this node: what a probe compares (R64, B60)."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from typing import Final

import attrs
import trio

from sbs.config import Config
from sbs.core.address import Address
from sbs.core.claim import Claim, Mode, Role
from sbs.core.messages import Fact, Hello
from sbs.errors import NotRunningError, StateError
from sbs.runtime.lasting.state import read_node_id
from sbs.runtime.operating import control
from sbs.runtime.probing.checks import Check, Result
from sbs.runtime.probing.facts import MUST_MATCH, PEER, facts_of
from sbs.runtime.probing.premises import PREMISES, findings, leads_here, result_of
from sbs.runtime.probing.proof import Proof

MAX_CLOCK_DIFFERENCE_S: Final = 1.0
"""More makes the logs and time stamps of the two nodes hard to compare."""

_SAME_RELEASE: Final = "install the same release of SBS on both nodes"
_WORST: Final = (Result.PASS, Result.WARN, Result.FAIL)


@attrs.frozen(kw_only=True)
class Visit:
    """What a probe has learned by its visit.

    Args:
        address: that was probed.
        hello: of the peer, with a claim.
        clock_ns: this node's clock before and after the peer read its own.
        rtt_ms: of one round trip; ``None``: not measured.
        proof: by which both have proven who they are; ``None`` without TLS.
    """

    address: Address
    hello: Hello
    clock_ns: tuple[int, int]
    rtt_ms: float | None
    proof: Proof | None = None


async def compare(config: Config | None, visit: Visit, claim: Claim) -> list[Check]:
    """Check whether the peer fits this node.

    Args:
        config: of this node; without it little is compared.
        visit: to the peer.
        claim: of its hello.
    """
    checks = [_identity_check(config, visit, claim)]
    if checks[0].result is Result.FAIL:
        return checks  # a comparison with itself would only mislead
    checks.append(_role_check(claim, await _own_role(config)))
    if config is not None:
        checks.append(_mode_check(config.node.mode, claim.mode))
    checks.append(_clock_check(visit.hello.clock_ns, visit.clock_ns))
    if config is not None:
        theirs = {fact.name: fact.value for fact in visit.hello.facts}
        checks += _setting_checks(config, theirs)
        checks += await trio.to_thread.run_sync(_machine_checks, config, theirs)
    checks += _round_trip_checks(config, visit.rtt_ms)
    return checks


def _identity_check(config: Config | None, visit: Visit, claim: Claim) -> Check:
    """Whether it is another node than this one, and how both have proven who they are."""

    def check(result: Result, detail: str, hint: str = "") -> Check:
        return Check(name="identity", result=result, detail=detail, hint=hint)

    who = f"{claim.name}, identity {claim.node_id[:8]}"
    if config is None:
        return check(Result.PASS, who)
    try:
        own = read_node_id(config.node.state_dir)
    except StateError as error:
        return check(Result.WARN, str(error), "run this as the node's account")
    if own == claim.node_id:
        hint = (
            "node.peer must be the address of the other node; if this state_dir was copied "
            f"from there, remove {os.path.join(config.node.state_dir, 'node.json')}"
        )
        text = f"{claim.name} at {visit.address} has this node's own identity"
        return check(Result.FAIL, text, hint)
    if claim.name == config.node.name:
        hint = "give each node its own node.name: texts and logs cannot tell them apart"
        return check(Result.WARN, f"both nodes are called {claim.name}", hint)
    if visit.proof is None:
        return check(Result.PASS, who)
    result, text, hint = visit.proof.judge(config.node.name, claim, dt.datetime.now(dt.UTC))
    return check(result, f"{who}, {text}", hint)


async def _own_role(config: Config | None) -> str:
    if config is None:
        return ""
    try:
        status = await control.ask(config.node.state_dir, "status")
    except NotRunningError:
        return Role.STOPPED.value
    return str(status["role"])


def _role_check(claim: Claim, own: str) -> Check:
    here = f"; this node is {own}" if own else ""
    detail = f"{claim.role.value}, epoch {claim.epoch}, generation {claim.history.number}{here}"
    result, hint = Result.PASS, ""
    if own == Role.PRIMARY.value and claim.primary:
        hint = "the nodes do not reach each other at node.peer: probe from the other one, too"
        result = Result.FAIL
    elif claim.role in (Role.WAITING, Role.FENCED):
        result, hint = Result.WARN, "it cannot be primary now; sbs status there says why"
    return Check(name="role", result=result, detail=detail, hint=hint)


def _mode_check(own: Mode, peer: Mode) -> Check:
    result, hint = Result.PASS, ""
    if own is peer is not Mode.SYMMETRIC:
        hint = "change node.mode on one node: primary-only and backup-only belong together"
        result = Result.FAIL
    elif Mode.SYMMETRIC in (own, peer) and own is not peer:
        hint = "primary-only and backup-only belong together, or both nodes are symmetric"
        result = Result.WARN
    detail = f"{own.value} here, {peer.value} there"
    return Check(name="mode", result=result, detail=detail, hint=hint)


def _clock_check(peer_ns: int, own_ns: tuple[int, int]) -> Check:
    """The peer read its clock between the two moments of ours."""
    if not peer_ns:
        detail = "the peer does not tell its time"
        return Check(name="clock", result=Result.WARN, detail=detail, hint=_SAME_RELEASE)
    earliest, latest = own_ns
    off_s = max(earliest - peer_ns, peer_ns - latest, 0) / 1e9
    if off_s <= MAX_CLOCK_DIFFERENCE_S:
        detail = f"within {MAX_CLOCK_DIFFERENCE_S:g} s of this one"
        return Check(name="clock", result=Result.PASS, detail=detail)
    side = "ahead of" if peer_ns > latest else "behind"
    return Check(
        name="clock",
        result=Result.WARN,
        detail=f"the peer's clock is {off_s:.3f} s {side} this one",
        hint="let both machines take their time from a time service (NTP)",
    )


def _setting_checks(config: Config, theirs: Mapping[str, str]) -> Iterator[Check]:
    """A row for each setting that the nodes must share."""
    for fact in facts_of(config):
        if fact.name not in MUST_MATCH:
            continue
        if fact.name not in theirs:
            detail, hint = "the peer does not tell it", _SAME_RELEASE
        elif theirs[fact.name] != fact.value:
            detail = f"here {fact.value or 'empty'}, there {theirs[fact.name] or 'empty'}"
            hint = f"make it the same on both nodes: {MUST_MATCH[fact.name]}"
        else:
            yield Check(name=fact.name, result=Result.PASS, detail=fact.value or "empty on both")
            continue
        yield Check(name=fact.name, result=Result.WARN, detail=detail, hint=hint)


def _machine_checks(config: Config, theirs: Mapping[str, str]) -> list[Check]:
    """What both machines must have (R64); looks at this one, and asks name services."""
    own = findings(config)
    return [_peer_check(config, theirs), *(_machine_check(fact, theirs) for fact in own)]


def _peer_check(config: Config, theirs: Mapping[str, str]) -> Check:
    """Whether the peer calls this node, as this node calls it."""
    address, listen = theirs.get(PEER, ""), config.node.listen
    if not address:
        detail = "the peer does not tell whom it calls"
        return Check(name=PEER, result=Result.WARN, detail=detail, hint=_SAME_RELEASE)
    try:
        leads = leads_here(Address.parse(address), listen)
    except ValueError:
        leads = False
    if leads:
        return Check(name=PEER, result=Result.PASS, detail=f"the peer calls this node at {address}")
    known = "a name that is not known here" if leads is None else f"this node serves {listen}"
    return Check(
        name=PEER,
        result=Result.WARN,
        detail=f"the peer calls {address}; {known}",
        hint="set node.peer there to this node's address, unless a router translates it",
    )


def _machine_check(own: Fact, theirs: Mapping[str, str]) -> Check:
    """One premise, answered by both machines."""
    premise = PREMISES[own.name]
    here, own_text = result_of(own.value)
    if own.name not in theirs:
        return Check(
            name=own.name,
            result=max(here, Result.WARN, key=_WORST.index),
            detail=f"here {own_text}; the peer does not tell it",
            hint=premise.hint
            if here is not Result.PASS
            else f"it has just started: try again in a moment; or {_SAME_RELEASE}",
        )
    there, their_text = result_of(theirs[own.name])
    result = max(here, there, key=_WORST.index)
    if premise.same and own_text != their_text:
        result = max(result, Result.WARN, key=_WORST.index)
    if own_text == their_text:
        detail = f"{own_text}, on both"
    else:
        detail = f"here {own_text}; there {their_text}"
    hint = "" if result is Result.PASS else premise.hint
    return Check(name=own.name, result=result, detail=detail, hint=hint)


def _round_trip_checks(config: Config | None, rtt_ms: float | None) -> Iterator[Check]:
    if rtt_ms is None:
        return
    result, hint = Result.PASS, ""
    if config is not None and rtt_ms > config.failover.heartbeat_interval_s * 1000:
        hint = "longer than a heartbeat: raise failover.heartbeat_interval_s on both nodes"
        result = Result.WARN
    yield Check(name="round-trip", result=result, detail=f"{rtt_ms:.3f} ms", hint=hint)
