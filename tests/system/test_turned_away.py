"""B62, B60: who is not the pair is refused; both logs and `sbs probe` say why, and what to do."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import TypeAlias

import attrs
import pytest
import trio

from sbs.config import load
from sbs.runtime.probing.checks import Check, Result
from sbs.runtime.probing.probe import probe
from tests.adapters.tls_rig import Identities
from tests.system.nodes import Node, Pair
from tests.system.securing import secure, show

NEVER_S = 600.0
"""A time limit of a start that no test waits for: who is refused decides nothing."""

Shown: TypeAlias = tuple[str | None, str]
"""The identity that a node shows (``None``: it does without TLS), and the one that it pins."""

NOT_PINNED = "its certificate is not the pinned one"
UNKNOWN = "it does not know this node's certificate"
AGAIN = "pair again: sbs pair"
BOTH = "set tls.identity and tls.peer_certificate"


@pytest.fixture
def made(pair: Pair, tmp_path: Path) -> Identities:
    return secure(pair, tmp_path)


def failed_row(node: Node) -> Check:
    """The one row that fails when a node probes its peer: the last one."""
    config = load(str(node.config))
    report = trio.run(probe, config.node.peer, config)
    assert [check.result for check in report.checks].count(Result.FAIL) == 1
    assert report.exit_code == 1
    return report.checks[-1]


@attrs.frozen(kw_only=True)
class Case:
    """Two nodes that are no pair.

    Args:
        alpha: leads.
        beta: would follow.
        row: of a probe that fails, on both nodes.
        by_alpha: what its log and its probe find, and what is to be done.
        by_beta: likewise.
    """

    alpha: Shown = ("alpha", "beta")
    beta: Shown = ("beta", "alpha")
    row: str = "identity"
    by_alpha: tuple[str, str]
    by_beta: tuple[str, str]


CASES = {
    "another identity": Case(
        beta=("mallory", "alpha"), by_alpha=(NOT_PINNED, AGAIN), by_beta=(UNKNOWN, AGAIN)
    ),
    "signed by the pinned one": Case(
        beta=("signed", "alpha"), by_alpha=(NOT_PINNED, AGAIN), by_beta=(UNKNOWN, AGAIN)
    ),
    "pinned another": Case(
        beta=("beta", "mallory"), by_alpha=(UNKNOWN, AGAIN), by_beta=(NOT_PINNED, AGAIN)
    ),
    "expired": Case(
        alpha=("alpha", "expired"),
        beta=("expired", "alpha"),
        by_alpha=("has expired", "run sbs pair --renew there"),
        by_beta=("has expired", "run sbs pair --renew here"),
    ),
    "plain against TLS": Case(
        beta=(None, ""),
        row="tls",
        by_alpha=("speaks SBS without TLS", BOTH),
        by_beta=("speaks TLS", BOTH),
    ),
    "TLS against plain": Case(
        alpha=(None, ""),
        row="tls",
        by_alpha=("speaks TLS", BOTH),
        by_beta=("speaks SBS without TLS", BOTH),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_both_nodes_say_why_they_are_no_pair(case: Case, pair: Pair, made: Identities) -> None:
    """No session, no role that changes; a line in both logs, and the same as a row of a probe."""
    made.path("expired", valid_days=-1)
    made.sign("signed", by="beta")
    alpha, beta = pair.alpha, pair.beta
    for node, (own, pinned) in ((alpha, case.alpha), (beta, case.beta)):
        show(made, node, own, pinned=pinned)
    beta.configure({"failover": {"probe_timeout_s": NEVER_S}})
    alpha.start()
    alpha.wait_role("primary")
    (alpha.folder / "secret").write_bytes(b"for the pair alone")
    beta.start()
    for node, (finding, advice) in ((alpha, case.by_alpha), (beta, case.by_beta)):
        node.wait_logged(finding)
        # One of who called, one of who was called: the other comes soon.
        lines = [line for line in node.log_text.splitlines() if finding in line]
        assert all("WARNING" in line and advice in line for line in lines)
    for node, (finding, advice) in ((alpha, case.by_alpha), (beta, case.by_beta)):
        row = failed_row(node)
        assert row.name == case.row
        assert finding in row.detail
        assert advice in row.hint
    assert (alpha.role, beta.role) == ("primary", "probing")
    assert not (beta.folder / "secret").exists()
    assert alpha.wait_service()["node"] == "alpha"


def test_a_node_that_the_primary_turns_away_waits(pair: Pair, made: Identities) -> None:
    """B1: it has a new identity, and pins the primary's: no second primary, for however long."""
    alpha, beta = pair.alpha, pair.beta
    show(made, beta, "mallory", pinned="alpha")
    beta.configure({"failover": {"probe_timeout_s": 3.0, "heartbeat_interval_s": 0.1}})
    alpha.start()
    alpha.wait_role("primary")
    beta.start()
    assert UNKNOWN in beta.wait_alarm("identity-refused")
    before = beta.status()["last_change"]
    trio.run(trio.sleep, 4.0)  # more than a probe: what must not happen has had its time
    after = beta.status()
    assert (after["role"], after["last_change"]) == ("probing", before)
    assert alpha.wait_service()["node"] == "alpha"
    alpha.kill()
    beta.wait_role("primary")  # its host refuses: nobody is there


def test_a_mended_pin_needs_no_restart(pair: Pair, made: Identities) -> None:
    """What the line says is done, and the pair is one; the alarm ends."""
    alpha, beta = pair.alpha, pair.beta
    show(made, beta, "beta", pinned="mallory")
    beta.configure({"failover": {"probe_timeout_s": NEVER_S}})
    alpha.start()
    alpha.wait_role("primary")
    beta.start()
    assert NOT_PINNED in beta.wait_alarm("identity-refused")
    os.replace(made.pins("alpha"), made.pins("mallory"))
    pair.wait_settled(alpha, beta)
    beta.wait_no_alarm()
    security = beta.status()["security"]
    assert security["tls"]
    assert security["peer_fingerprint"] == made.certificate("alpha").fingerprint


def test_swapped_files_end_the_start(pair: Pair, made: Identities) -> None:
    """The identity is the other node's: so this node would take itself for its peer."""
    alpha = pair.alpha
    show(made, alpha, "beta", pinned="beta")
    alpha.start()
    assert alpha.wait() == 78
    words = "holds this node's own certificate; it must hold that of the other node: run sbs pair"
    assert words in alpha.log_text
    shown = alpha.sbs("probe")
    assert shown.returncode == 78
    assert words in next(line for line in shown.stdout.splitlines() if "fail" in line)


def client(made: Identities, own: str | None, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = made.client(own)
    context.maximum_version = version
    return context


def test_callers_with_an_older_tls_or_no_certificate_are_refused(
    pair: Pair, made: Identities
) -> None:
    """Programs of another library: each hears an alert, and the log says what to do."""
    alpha = pair.alpha
    alpha.start()
    alpha.wait_role("primary")
    for own, version, alert, line in (
        ("beta", ssl.TLSVersion.TLSv1_2, "PROTOCOL_VERSION", "it speaks an older TLS than 1.3; "),
        (None, ssl.TLSVersion.TLSv1_3, "CERTIFICATE_REQUIRED", "it shows no certificate; if that"),
    ):
        with (
            socket.create_connection(("127.0.0.1", alpha.port), timeout=20) as sock,
            pytest.raises(ssl.SSLError, match=alert),
            client(made, own, version).wrap_socket(sock) as secured,
        ):
            secured.recv(1000)
        alpha.wait_logged(f"a caller was turned away: the caller from 127.0.0.1: {line}")
    assert alpha.role == "primary"
    assert alpha.wait_service()["node"] == "alpha"


def test_an_older_tls_at_the_peers_address_is_refused(pair: Pair, made: Identities) -> None:
    """With the pinned certificate, even: no downgrade."""
    alpha = pair.alpha
    alpha.configure({"failover": {"probe_timeout_s": NEVER_S}})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.path("beta"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def serve() -> None:
        with contextlib.suppress(OSError):  # it was shut down
            while True:
                caller = server.accept()[0]
                with contextlib.suppress(OSError), caller:
                    context.wrap_socket(caller, server_side=True)

    with socket.create_server(("127.0.0.1", pair.beta.port)) as server:
        serving = threading.Thread(target=serve)
        serving.start()
        alpha.start()
        text = alpha.wait_alarm("identity-refused")
        row = failed_row(alpha)
        role = alpha.role
        server.shutdown(socket.SHUT_RDWR)
        serving.join()
    assert "it does not speak TLS 1.3; allowed is TLS 1.3 alone" in text
    assert (row.name, row.hint) == ("tls", text.partition("; ")[2])
    assert role == "probing"
