"""Why two nodes do not see each other, or do not fit: the checks of ``sbs probe`` (B60, R64).

A probe is a visitor: it exchanges hellos with the peer, claims nothing, and leaves.
"""

from __future__ import annotations

import time
from typing import Final

import trio

from sbs.config import Config
from sbs.core.address import Address
from sbs.core.claim import Claim
from sbs.core.connection import Side
from sbs.core.messages import PROTOCOL_VERSION, Hello
from sbs.errors import DialRefusedError, ProtocolError, TransportError, VersionError
from sbs.ports import Transport
from sbs.runtime.linking.link import Link
from sbs.runtime.probing.checks import Check, PeerReport, ProbeReport, Result
from sbs.runtime.probing.fitting import Visit, compare
from sbs.version import __version__

TIMEOUT_S: Final = 2.0
"""How long each step may take where no configuration says it."""


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
        found = [*self._config.warnings]
        if self._config.refusal:
            found.insert(0, f"sbs run refuses it here: {self._config.refusal}")
        if found:
            hint = "mend what is named; a key without effect is for another version of SBS"
            self._add("config", Result.WARN, "; ".join(found), hint)
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

    async def compare(self, hello: Hello, claim: Claim) -> None:
        """Check whether the peer fits this node."""
        visit = Visit(
            address=self._address, hello=hello, clock_ns=self._clock_ns, rtt_ms=self._rtt_ms
        )
        self._checks += await compare(self._config, visit, claim)
