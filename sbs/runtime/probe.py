"""Why two nodes do not see each other, or do not fit: the checks of ``sbs probe`` (B60, R64).

A probe is a visitor: it exchanges hellos with the peer, claims nothing, and leaves.
"""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Iterator
from typing import Any, Final

import attrs
import trio

from sbs.config import Config
from sbs.core.address import Address
from sbs.core.claim import Claim, Mode, Role
from sbs.core.connection import Side
from sbs.core.messages import PROTOCOL_VERSION, Hello
from sbs.errors import (
    DialRefusedError,
    NotRunningError,
    ProtocolError,
    StateError,
    TransportError,
    VersionError,
)
from sbs.ports import Transport
from sbs.runtime import control
from sbs.runtime.facts import MUST_MATCH, facts_of
from sbs.runtime.link import Link
from sbs.runtime.state import read_node_id
from sbs.version import __version__

TIMEOUT_S: Final = 2.0
"""How long each step may take where no configuration says it."""

MAX_CLOCK_DIFFERENCE_S: Final = 1.0
"""More makes the logs and time stamps of the two nodes hard to compare."""

EXIT_FAILED: Final = 1
EXIT_UNREACHABLE: Final = 3


class Result(enum.Enum):
    """The outcome of one check."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@attrs.frozen(kw_only=True)
class Check:
    """One row of the diagnosis.

    Args:
        name: what was checked.
        result: the outcome.
        detail: what was found; what a peer says may hold control characters.
        hint: what to do; empty if the check passed.
    """

    name: str
    result: Result
    detail: str
    hint: str = ""


@attrs.frozen(kw_only=True)
class PeerReport:
    """What the peer says of itself."""

    name: str
    role: str
    mode: str
    epoch: int
    generation: int
    version: str


@attrs.frozen(kw_only=True)
class ProbeReport:
    """All checks up to the first one without which the others cannot be made.

    Args:
        address: that was probed.
        checks: in the order in which they were made.
        peer: ``None`` if no node answered.
        rtt_ms: time of one round trip (a connect) in milliseconds; ``None`` without connection.
    """

    address: str
    checks: tuple[Check, ...]
    peer: PeerReport | None = None
    rtt_ms: float | None = None

    @property
    def ok(self) -> bool:
        """No check failed; there may be warnings."""
        return all(check.result is not Result.FAIL for check in self.checks)

    @property
    def exit_code(self) -> int:
        """Of ``sbs probe``: 0, or 3 if the peer cannot be reached, or 1."""
        if self.ok:
            return 0
        unreachable = any(
            check.result is Result.FAIL and check.name in ("name", "tcp") for check in self.checks
        )
        return EXIT_UNREACHABLE if unreachable else EXIT_FAILED

    def to_json(self) -> dict[str, Any]:
        """The form that ``sbs probe --json`` prints."""
        fields = attrs.asdict(self, value_serializer=_enum_value)
        return {"ok": self.ok, **fields}


def _enum_value(_instance: object, _field: object, value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else value


async def probe(address: Address, config: Config | None, transport: Transport) -> ProbeReport:
    """Find out how the node at ``address`` is reached, and whether it fits this one.

    Args:
        address: of the peer.
        config: of this node; without it nothing is compared.
        transport: carries the bytes.

    Returns:
        what was found; what cannot be reached is a failed check, no exception.
    """
    visit = _Visit(address, config, transport)
    hello = await visit.greet()
    if hello is not None and hello.claim is not None:
        await visit.compare(hello, hello.claim)
    return visit.report(hello)


class _Visit:
    """One probe: collects its checks."""

    def __init__(self, address: Address, config: Config | None, transport: Transport) -> None:
        self._address = address
        self._config = config
        self._transport = transport
        self._timeout_s = TIMEOUT_S if config is None else config.failover.probe_timeout_s
        self._checks: list[Check] = []
        self._rtt_ms: float | None = None
        self._clock_ns = (0, 0)

    def report(self, hello: Hello | None) -> ProbeReport:
        """What was found."""
        peer = None
        if hello is not None and hello.claim is not None:
            claim = hello.claim
            peer = PeerReport(
                name=claim.name,
                role=claim.role.value,
                mode=claim.mode.value,
                epoch=claim.epoch.counter,
                generation=claim.history.number,
                version=hello.software.removeprefix("sbs "),
            )
        return ProbeReport(
            address=str(self._address), checks=tuple(self._checks), peer=peer, rtt_ms=self._rtt_ms
        )

    def _add(self, name: str, result: Result, detail: str, hint: str = "") -> None:
        self._checks.append(Check(name=name, result=result, detail=detail, hint=hint))

    # Reaching it: each step needs the one before.

    async def greet(self) -> Hello | None:
        """Exchange hellos with the peer; ``None`` if that cannot be done."""
        self._check_config()
        if not await self._resolve():
            return None
        started_ns = time.time_ns()
        stream = await self._dial()
        if stream is None:
            return None
        hello = Hello(versions=(1, PROTOCOL_VERSION), software=f"sbs {__version__} probe")
        link = Link(0, stream, Side.DIALLER, hello)
        try:
            answer = await self._exchange(link)
        finally:
            await link.aclose()
        self._clock_ns = (started_ns, time.time_ns())
        return answer

    def _check_config(self) -> None:
        if self._config is None:
            return
        if self._config.warnings:
            hint = "take these keys out, or use a version of SBS that knows them"
            self._add("config", Result.WARN, "; ".join(self._config.warnings), hint)
        else:
            self._add("config", Result.PASS, self._config.path)

    async def _resolve(self) -> bool:
        host = self._address.host
        try:
            with trio.fail_after(self._timeout_s):
                found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_STREAM)
        except trio.TooSlowError:
            detail = f"{host}: the name service did not answer in {self._timeout_s:g} s"
            self._add("name", Result.FAIL, detail, "check the name service, or use an IP address")
            return False
        except OSError as error:
            detail = f"{host}: {error.strerror or error}"
            hint = (
                "correct the name, add it to the name service or /etc/hosts, or use an IP address"
            )
            self._add("name", Result.FAIL, detail, hint)
            return False
        numbers = dict.fromkeys(str(entry[4][0]) for entry in found)
        self._add("name", Result.PASS, f"{host} is {', '.join(numbers)}")
        return True

    async def _dial(self) -> trio.abc.Stream | None:
        started = time.perf_counter()
        try:
            with trio.fail_after(self._timeout_s):
                stream = await self._transport.dial(str(self._address))
        except trio.TooSlowError:
            detail = f"{self._address}: no answer within {self._timeout_s:g} s"
            hint = "is the machine on, the address right, and the port open in every firewall?"
            self._add("tcp", Result.FAIL, detail, hint)
        except DialRefusedError as error:
            hint = "start the peer with sbs run; its node.listen must be reachable at this address"
            self._add("tcp", Result.FAIL, str(error), hint)
        except TransportError as error:
            hint = "check the address, the cable, the route and the firewalls between the nodes"
            self._add("tcp", Result.FAIL, str(error), hint)
        else:
            self._rtt_ms = round((time.perf_counter() - started) * 1000, 3)
            self._add("tcp", Result.PASS, f"connected to {self._address}")
            return stream
        return None

    async def _exchange(self, link: Link) -> Hello | None:
        try:
            with trio.fail_after(self._timeout_s):
                hello = await link.greet()
        except trio.TooSlowError:
            detail = f"connected, but no hello within {self._timeout_s:g} s"
            hint = "is that another program's port? If it is a node, see its log: it may be stuck"
        except VersionError as error:
            detail = f"{error}; this is sbs {__version__}"
            hint = "install the same release of SBS on both nodes"
        except ProtocolError as error:
            detail = f"what answers is no node of SBS: {error}"
            hint = "another program listens there: correct node.peer here or node.listen there"
        except TransportError as error:
            detail = f"closed before its hello: {error}"
            hint = "is that another program's port? If it is a node, see its log for the reason"
        else:
            if hello.claim is not None:
                self._add("protocol", Result.PASS, f"{hello.software}, version {hello.versions[1]}")
                return hello
            detail = f"{hello.software} visits, but is no node"
            hint = "another program listens there: correct node.peer here or node.listen there"
        self._add("protocol", Result.FAIL, detail, hint)
        return None

    # Comparing it with this node.

    async def compare(self, hello: Hello, claim: Claim) -> None:
        """Check whether the peer fits this node."""
        if self._config is None:
            self._add("identity", Result.PASS, f"{claim.name}, identity {claim.node_id[:8]}")
        elif not self._check_identity(self._config, claim):
            return  # a comparison with itself would only mislead
        self._check_role(claim, await self._own_role())
        if self._config is not None:
            self._check_mode(self._config.node.mode, claim.mode)
        self._check_clock(hello.clock_ns)
        if self._config is not None:
            self._checks += _setting_checks(self._config, hello)
        self._check_round_trip()

    def _check_identity(self, config: Config, claim: Claim) -> bool:
        """Whether it may be another node than this one."""
        try:
            own = read_node_id(config.node.state_dir)
        except StateError as error:
            self._add("identity", Result.WARN, str(error), "run this as the node's account")
            return True
        if own == claim.node_id:
            hint = (
                "node.peer must be the address of the other node; if this state_dir was copied "
                f"from there, remove {os.path.join(config.node.state_dir, 'node.json')}"
            )
            detail = f"{claim.name} at {self._address} has this node's own identity"
            self._add("identity", Result.FAIL, detail, hint)
            return False
        if claim.name == config.node.name:
            hint = "give each node its own node.name: texts and logs cannot tell them apart"
            self._add("identity", Result.WARN, f"both nodes are called {claim.name}", hint)
        else:
            self._add("identity", Result.PASS, f"{claim.name}, identity {claim.node_id[:8]}")
        return True

    async def _own_role(self) -> str:
        if self._config is None:
            return ""
        try:
            status = await control.ask(self._config.node.state_dir, "status")
        except NotRunningError:
            return Role.STOPPED.value
        return str(status["role"])

    def _check_role(self, claim: Claim, own: str) -> None:
        here = f"; this node is {own}" if own else ""
        detail = f"{claim.role.value}, epoch {claim.epoch}, generation {claim.history.number}{here}"
        if own == Role.PRIMARY.value and claim.primary:
            hint = "the nodes do not reach each other at node.peer: probe from the other one, too"
            self._add("role", Result.FAIL, detail, hint)
        elif claim.role in (Role.WAITING, Role.FENCED):
            hint = "it cannot be primary now; sbs status there says why"
            self._add("role", Result.WARN, detail, hint)
        else:
            self._add("role", Result.PASS, detail)

    def _check_mode(self, own: Mode, peer: Mode) -> None:
        detail = f"{own.value} here, {peer.value} there"
        if own is peer is not Mode.SYMMETRIC:
            hint = "change node.mode on one node: primary-only and backup-only belong together"
            self._add("mode", Result.FAIL, detail, hint)
        elif Mode.SYMMETRIC in (own, peer) and own is not peer:
            hint = "primary-only and backup-only belong together, or both nodes are symmetric"
            self._add("mode", Result.WARN, detail, hint)
        else:
            self._add("mode", Result.PASS, detail)

    def _check_clock(self, clock_ns: int) -> None:
        """The peer read its clock between the two moments of ours."""
        if not clock_ns:
            hint = "install the same release of SBS on both nodes"
            self._add("clock", Result.WARN, "the peer does not tell its time", hint)
            return
        earliest, latest = self._clock_ns
        off_s = max(earliest - clock_ns, clock_ns - latest, 0) / 1e9
        if off_s > MAX_CLOCK_DIFFERENCE_S:
            side = "ahead of" if clock_ns > latest else "behind"
            hint = "let both machines take their time from a time service (NTP)"
            detail = f"the peer's clock is {off_s:.3f} s {side} this one"
            self._add("clock", Result.WARN, detail, hint)
        else:
            self._add("clock", Result.PASS, f"within {MAX_CLOCK_DIFFERENCE_S:g} s of this one")

    def _check_round_trip(self) -> None:
        if self._rtt_ms is None:
            return
        detail = f"{self._rtt_ms:.3f} ms"
        beat_s = None if self._config is None else self._config.failover.heartbeat_interval_s
        if beat_s is not None and self._rtt_ms > beat_s * 1000:
            hint = "longer than a heartbeat: raise failover.heartbeat_interval_s on both nodes"
            self._add("round-trip", Result.WARN, detail, hint)
        else:
            self._add("round-trip", Result.PASS, detail)


def _setting_checks(config: Config, hello: Hello) -> Iterator[Check]:
    """A row for each setting that the nodes must share."""
    theirs = {fact.name: fact.value for fact in hello.facts}
    for fact in facts_of(config):
        if fact.name not in theirs:
            detail = "the peer does not tell it"
            hint = "install the same release of SBS on both nodes"
        elif theirs[fact.name] != fact.value:
            detail = f"here {fact.value or 'empty'}, there {theirs[fact.name] or 'empty'}"
            hint = f"make it the same on both nodes: {MUST_MATCH[fact.name]}"
        else:
            yield Check(name=fact.name, result=Result.PASS, detail=fact.value or "empty on both")
            continue
        yield Check(name=fact.name, result=Result.WARN, detail=detail, hint=hint)
