"""Why two nodes do not see each other, or do not fit: the checks of ``sbs probe`` (B60, R64).

A probe is a visitor: it exchanges hellos with the peer, claims nothing, and leaves.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any, Final

import trio

from sbs.adapters.transports.tcp import TcpTransport
from sbs.adapters.transports.tls import TlsTransport
from sbs.adapters.transports.tls_stream import TlsStream
from sbs.config import Config
from sbs.config.places import is_loopback
from sbs.core.address import Address
from sbs.core.claim import Claim
from sbs.core.connection import Side
from sbs.core.messages import PROTOCOL_VERSION, Hello
from sbs.core.testament import PeerFencedError
from sbs.errors import (
    DialRefusedError,
    EncryptedError,
    IdentityError,
    ProtocolError,
    TlsError,
    TransportError,
    VersionError,
)
from sbs.ports import Transport
from sbs.runtime.linking.link import Link
from sbs.runtime.opening import make_transport
from sbs.runtime.probing.checks import Check, PeerReport, ProbeReport, Result
from sbs.runtime.probing.fitting import Visit, compare
from sbs.runtime.probing.proof import Proof
from sbs.version import __version__

TIMEOUT_S: Final = 2.0
"""How long each step may take where no configuration says it."""

_DISCARD: Final = 9
"""Any port serves: a datagram socket that connects says nothing."""

_SILENT: Final = "is that another program's port? If it is a node, see its log: it may be stuck"
_CLOSED: Final = "is that another program's port? If it is a node, see its log for the reason"
_OTHER: Final = "another program listens there: correct node.peer here or node.listen there"


def check_config(config: Config) -> Check:
    """The first row: what the configuration says of itself.

    Args:
        config: of this node.
    """
    found = [*config.warnings]
    if config.refusal:
        found.insert(0, f"sbs run refuses it here: {config.refusal}")
    if not found:
        return Check(name="config", result=Result.PASS, detail=config.path)
    hint = "mend what is named; a key without effect is for another version of SBS"
    return Check(name="config", result=Result.WARN, detail="; ".join(found), hint=hint)


async def probe(
    address: Address, config: Config | None, transport: Transport | None = None
) -> ProbeReport:
    """Find out how the node at ``address`` is reached, and whether it fits this one.

    Args:
        address: of the peer.
        config: of this node; without it nothing is compared.
        transport: carries the bytes; TLS or TCP, as configured, if left out.

    Returns:
        what was found; what cannot be reached is a failed check, no exception.

    Raises:
        ConfigError: what proves who this node is cannot be used.
    """
    if transport is None:
        transport = TcpTransport() if config is None else make_transport(config)
    visit = _Visit(address, config, transport)
    hello = await visit.greet()
    if hello is not None and hello.claim is not None:
        await visit.compare(hello, hello.claim)
    return visit.report(hello)


async def find_way(address: Address, config: Config) -> tuple[Check, ...]:
    """The first rows of a probe: whether the name has an address, and this machine a way there.

    Args:
        address: of the peer.
        config: of this node.
    """
    visit = _Visit(address, config, TcpTransport())
    await visit.find_way()
    return visit.report(None).checks


def source_of(family: int, place: tuple[Any, ...]) -> str:
    """The address of this machine from which packets to another one leave; sends none.

    Args:
        family: of the other address.
        place: it, as ``getaddrinfo`` has it.

    Raises:
        OSError: there is no route.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect((place[0], _DISCARD, *place[2:]))
        return str(sock.getsockname()[0])


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
        self._certificate = b""

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
        if self._config is not None:
            self._checks.append(check_config(self._config))
        if not await self.find_way():
            return None
        started_ns = time.time_ns()
        stream = await self._dial()
        if stream is None:
            return None
        hello = Hello(versions=(1, PROTOCOL_VERSION), software=f"sbs {__version__} probe")
        link = Link(0, stream, Side.DIALLER, hello)
        try:
            answer = await self._exchange(link, stream)
        finally:
            await link.aclose()
        self._clock_ns = (started_ns, time.time_ns())
        return answer

    async def find_way(self) -> bool:
        """Whether there is a way to the peer: the rows ``name`` and ``route``."""
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
        return self._find_route(
            {str(place[0]): (family, place) for family, _, _, _, place in found}
        )

    def _find_route(self, places: Mapping[str, tuple[int, tuple[Any, ...]]]) -> bool:
        """Whether the kernel knows where to send what is for one of these addresses."""
        failures: list[str] = []
        for number, (family, place) in places.items():
            try:
                own = source_of(family, place)
            except OSError as error:
                failures.append(f"{number}: {error.strerror or error}")
            else:
                self._add("route", Result.PASS, f"from {own} to {number}")
                return True
        hint = "give this machine an interface in that network, or a gateway: ip route"
        self._add("route", Result.FAIL, "; ".join(failures), hint)
        return False

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

    async def _exchange(self, link: Link, stream: trio.abc.Stream) -> Hello | None:
        step = "protocol"
        try:
            if isinstance(stream, TlsStream):
                step = "tls"
                with trio.fail_after(self._timeout_s):
                    await stream.do_handshake()
                self._certificate = stream.peer_certificate
                self._add("tls", Result.PASS, stream.cipher)
                step = "protocol"
            with trio.fail_after(self._timeout_s):
                hello = await link.greet()
        except IdentityError as error:
            self._fail_identity(error, step)
            return None
        except EncryptedError:
            self._fail_plain()
            return None
        except trio.TooSlowError:
            detail, hint = f"connected, but no hello within {self._timeout_s:g} s", _SILENT
        except VersionError as error:
            detail = f"{error}; this is sbs {__version__}"
            hint = "install the same release of SBS on both nodes"
        except ProtocolError as error:
            detail, hint = f"what answers is no node of SBS: {error}", _OTHER
        except PeerFencedError as last_word:
            step = "protocol"
            detail, hint = str(last_word), "start SBS there: sbs run"
        except (TransportError, trio.BrokenResourceError) as error:
            detail, hint = f"closed before its hello: {error}", _CLOSED
        else:
            if hello.claim is not None:
                if not isinstance(stream, TlsStream):
                    self._check_plain()
                self._add("protocol", Result.PASS, f"{hello.software}, version {hello.versions[1]}")
                return hello
            detail, hint = f"{hello.software} visits, but is no node", _OTHER
        self._add(step, Result.FAIL, detail, hint)
        return None

    def _fail_identity(self, error: IdentityError, step: str) -> None:
        """These are no pair; in TLS 1.3 the other side's refusal comes with its first answer."""
        if not isinstance(error, TlsError):
            if step == "tls":
                self._add("tls", Result.PASS, "it speaks TLS 1.3")
            step = "identity"
        self._add(step, Result.FAIL, error.finding, error.advice)

    def _fail_plain(self) -> None:
        """The other side speaks TLS, and this probe cannot."""
        detail = f"{self._address} speaks TLS, and takes nobody but its peer"
        hint = "run the probe on its peer, with that node's configuration: sbs probe -c FILE"
        if self._config is not None:
            hint = "set tls.identity and tls.peer_certificate here, too: sbs pair on both nodes"
        self._add("tls", Result.FAIL, detail, hint)

    def _check_plain(self) -> None:
        """Both sides do without TLS."""
        if is_loopback(self._address.host):
            self._add("tls", Result.PASS, "none is needed within this machine")
            return
        detail = "none: whoever reaches the port can pose as the peer, read and change everything"
        self._add("tls", Result.WARN, detail, "sbs pair on both nodes")

    def _proof(self) -> Proof | None:
        """By which certificates the nodes have proven who they are."""
        if not isinstance(self._transport, TlsTransport):
            return None
        trust = self._transport.credentials.trust
        shown = next((pin for pin in trust.pins if pin.der == self._certificate), None)
        return None if shown is None else Proof(own=trust.own, peer=shown)

    async def compare(self, hello: Hello, claim: Claim) -> None:
        """Check whether the peer fits this node."""
        visit = Visit(
            address=self._address,
            hello=hello,
            clock_ns=self._clock_ns,
            rtt_ms=self._rtt_ms,
            proof=self._proof(),
        )
        self._checks += await compare(self._config, visit, claim)
