"""The rows `tls` and `identity` of a probe (B60, B62)."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
from pathlib import Path

import attrs
import pytest
import trio

from sbs.adapters.transports.tcp import TcpTransport
from sbs.config import Config
from sbs.core.address import Address
from sbs.core.claim import Claim
from sbs.core.connection import last_words
from sbs.ports import Listener, Transport
from sbs.runtime.probing.checks import Check, ProbeReport, Result
from sbs.runtime.probing.probe import probe
from sbs.runtime.probing.proof import Proof
from tests.adapters.tls_rig import Identities
from tests.runtime.test_probe import CLAIM, ROWS, failing, hello_of, make_config, peer, results


@pytest.fixture
def made(tmp_path: Path) -> Identities:
    return Identities(tmp_path)


def config_of(made: Identities, tmp_path: Path, own: str = "alpha", pinned: str = "beta") -> Config:
    """Of a node that shows one identity, and takes another for its peer."""
    tls = f'identity = "{made.path(own)}"\npeer_certificate = "{made.pins(pinned)}"'
    return make_config(tmp_path, rest=f"[tls]\n{tls}\n")


async def probe_peer(
    config: Config | None, transport: Transport, claim: Claim = CLAIM
) -> ProbeReport:
    """Probe a peer that serves by a transport."""
    hello = hello_of(config or make_config(Path()), claim)
    async with peer(lambda: hello, transport) as address:
        return await probe(address, config)


def row(report: ProbeReport, name: str) -> Check:
    (found,) = (check for check in report.checks if check.name == name)
    return found


async def test_who_proves_to_be_whom_is_shown(made: Identities, tmp_path: Path) -> None:
    """B60: version and cipher; name, fingerprint and end of the certificates."""
    report = await probe_peer(config_of(made, tmp_path), made.transport("beta", "alpha"))
    assert [check.name for check in report.checks] == ROWS
    assert failing(report) == []
    assert row(report, "tls").detail.startswith("TLSv1.3, TLS_")
    beta = made.certificate("beta")
    day = beta.expires_at.date().isoformat()
    assert row(report, "identity").detail == (
        f"beta, identity bbbbbbbb, proven by the certificate of beta ({beta.fingerprint}), valid "
        f"until {day}; this node's is valid until {day}"
    )


@pytest.mark.parametrize(
    ("own_days", "peer_days", "hint"),
    [
        (20, 3650, "run sbs pair --renew here"),
        (3650, 20, "run sbs pair --renew there"),
        (20, 20, "run sbs pair --renew here; run sbs pair --renew there"),
        (31, 31, ""),
    ],
)
async def test_a_certificate_that_ends_soon_is_a_warning(
    own_days: int, peer_days: int, hint: str, made: Identities, tmp_path: Path
) -> None:
    made.path("alpha", own_days)
    made.path("beta", peer_days)
    report = await probe_peer(config_of(made, tmp_path), made.transport("beta", "alpha"))
    assert failing(report) == (["identity"] if hint else [])
    assert row(report, "identity").hint == hint
    assert report.exit_code == 0


def test_an_own_certificate_that_has_ended_fails_though_the_peer_took_it(made: Identities) -> None:
    """By this node's clock: the peer's may be wrong."""
    proof = Proof(own=made.certificate("alpha"), peer=made.certificate("beta"))
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=3651)
    result, text, hint = proof.judge("alpha", CLAIM, later)
    assert result is Result.FAIL
    assert "this node's is valid until" in text
    assert "run sbs pair --renew here" in hint


async def test_files_that_were_mixed_up_are_a_warning(made: Identities, tmp_path: Path) -> None:
    """Each node has the other's: both prove to be whom the other wants, but the names are wrong."""
    config = config_of(made, tmp_path, own="beta", pinned="alpha")
    report = await probe_peer(config, made.transport("alpha", "beta"))
    assert failing(report) == ["identity"]
    assert "it bears the name of this node" in row(report, "identity").detail
    assert "mixed up between the nodes" in row(report, "identity").hint
    assert report.exit_code == 0
    renamed = attrs.evolve(CLAIM, name="gamma")
    made_for = config_of(made, tmp_path, own="alpha", pinned="beta")
    assert failing(await probe_peer(made_for, made.transport("beta", "alpha"), renamed)) == []


@pytest.mark.parametrize(
    ("shown", "known", "finding", "hint"),
    [
        ("mallory", "alpha", "its certificate is not the pinned one", "somebody else poses as it"),
        ("beta", "other", "it does not know this node's certificate", "pair again: sbs pair"),
        ("mallory", "other", "its certificate is not the pinned one", "somebody else poses as it"),
    ],
)
async def test_who_is_not_the_pair_fails_the_identity(
    shown: str, known: str, finding: str, hint: str, made: Identities, tmp_path: Path
) -> None:
    """Also where the other side's refusal comes with the first answer, as in TLS 1.3."""
    report = await probe_peer(config_of(made, tmp_path), made.transport(shown, known))
    assert failing(report) == ["identity"]
    assert results(report)["tls"] is Result.PASS
    assert report.checks[-1].detail.startswith(f"{report.address}: {finding} (")
    assert hint in report.checks[-1].hint
    assert (report.exit_code, report.peer) == (1, None)


@pytest.mark.parametrize(
    ("expired", "finding", "hint"),
    [
        ("alpha", "it finds that this node's certificate", "run sbs pair --renew here"),
        ("beta", "its certificate", "run sbs pair --renew there"),
    ],
)
async def test_a_certificate_that_has_expired_fails_the_identity(
    expired: str, finding: str, hint: str, made: Identities, tmp_path: Path
) -> None:
    made.path(expired, valid_days=-1)
    report = await probe_peer(config_of(made, tmp_path), made.transport("beta", "alpha"))
    assert failing(report) == ["identity"]
    detail = report.checks[-1].detail
    assert detail.startswith(
        f"{report.address}: {finding} ({made.certificate(expired).fingerprint}"
    )
    assert detail.endswith("has expired")
    assert hint in report.checks[-1].hint
    assert report.exit_code == 1


async def test_a_peer_without_tls_fails_tls(made: Identities, tmp_path: Path) -> None:
    report = await probe_peer(config_of(made, tmp_path), TcpTransport())
    assert failing(report) == ["tls"]
    assert report.checks[-1].detail == f"{report.address} speaks SBS without TLS"
    assert report.checks[-1].hint.startswith("set tls.identity and tls.peer_certificate on both")
    assert report.exit_code == 1


async def test_a_node_without_tls_fails_tls_at_a_peer_that_has_it(
    made: Identities, tmp_path: Path
) -> None:
    report = await probe_peer(make_config(tmp_path), made.transport("beta", "alpha"))
    assert failing(report) == ["tls"]
    assert "speaks TLS" in report.checks[-1].detail
    assert report.checks[-1].hint.startswith("set tls.identity and tls.peer_certificate here, too")
    assert report.exit_code == 1


async def test_a_host_with_tls_is_probed_by_its_peer_alone(made: Identities) -> None:
    """`sbs probe HOST` without a configuration: the row says what is needed."""
    report = await probe_peer(None, made.transport("beta", "alpha"))
    assert failing(report) == ["tls"]
    assert report.checks[-1].detail == f"{report.address} speaks TLS, and takes nobody but its peer"
    assert "with that node's configuration: sbs probe -c FILE" in report.checks[-1].hint
    assert report.exit_code == 1


async def test_plain_beyond_loopback_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tls.insecure`: it works, and should be changed."""
    config = make_config(tmp_path)
    hello = hello_of(config)
    async with peer(lambda: hello) as address:
        report = await probe(Address("192.0.2.1", 4445), config, Elsewhere(str(address)))
    assert failing(report) == ["tls"]
    assert "can pose as the peer" in row(report, "tls").detail
    assert report.exit_code == 0


@attrs.frozen
class Elsewhere:
    """A network in which every address is that of one peer."""

    address: str

    async def listen(self, address: str) -> Listener:
        raise AssertionError(f"a probe listened on {address}")

    async def dial(self, address: str) -> trio.abc.Stream:
        return await TcpTransport().dial(self.address)


async def probe_port(config: Config, answer: bytes, context: ssl.SSLContext | None = None) -> Check:
    """The last row for a port where something else answers, over TLS or not."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            plain = server.accept()[0]
            with contextlib.suppress(OSError):  # it is left
                stream = context.wrap_socket(plain, server_side=True) if context else plain
                stream.sendall(answer)
                while stream.recv(1000):
                    pass
                stream.close()
            plain.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, serve)
            report = await probe(Address(*server.getsockname()), config)
    assert report.exit_code == 1
    assert len(failing(report)) == 1
    return report.checks[-1]


async def test_an_older_tls_fails_tls(made: Identities, tmp_path: Path) -> None:
    """No downgrade, whoever offers it: with the pinned key, even."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.path("beta"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    last = await probe_port(config_of(made, tmp_path), b"welcome", context)
    assert last.name == "tls"
    assert "it does not speak TLS 1.3" in last.detail
    assert "allowed is TLS 1.3 alone" in last.hint


async def test_a_port_that_closes_in_the_handshake_fails_tls(
    made: Identities, tmp_path: Path
) -> None:
    listener = await TcpTransport().listen("127.0.0.1:0")

    async def close_first() -> None:
        await (await listener.accept()).aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_first)
        report = await probe(Address.parse(listener.address), config_of(made, tmp_path))
    await listener.aclose()
    assert failing(report) == ["tls"]
    assert report.checks[-1].detail.startswith("closed before its hello: ")


async def test_another_program_fails_tls(made: Identities, tmp_path: Path) -> None:
    last = await probe_port(config_of(made, tmp_path), b"HTTP/1.0 400 Bad\r\n\r\n")
    assert last.name == "tls"
    assert "speaks something else than TLS: b'HTTP/1.0 400 Bad" in last.detail
    assert "node.peer must be the address of the other node" in last.hint


async def test_a_service_that_speaks_tls_to_everybody_is_no_peer(
    made: Identities, tmp_path: Path
) -> None:
    """It asks for no certificate, shows its own, and speaks another protocol."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.path("web"))
    last = await probe_port(config_of(made, tmp_path), b"welcome", context)
    assert last.name == "identity"
    assert "its certificate is not the pinned one" in last.detail


@pytest.mark.parametrize("secured", [True, False])
async def test_the_fencer_of_a_dead_node_is_named(
    secured: bool, made: Identities, tmp_path: Path
) -> None:
    """B31: its last word is plain in both cases."""
    config = config_of(made, tmp_path) if secured else make_config(tmp_path)
    last = await probe_port(config, last_words(bytes(32)))
    assert (last.name, last.result) == ("protocol", Result.FAIL)
    assert last.detail == "SBS has just died there; its fencer has ended the services"
    assert last.hint == "start SBS there: sbs run"
