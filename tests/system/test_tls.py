"""B62: a pair of real processes that prove to each other who they are."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.adapters.tls_rig import Identities
from tests.system.nodes import Node, Pair, pair_in
from tests.system.securing import secure

NEVER_S = 600.0
"""A down interval that no test waits for: what is noticed was not noticed by silence."""


@pytest.fixture
def made(pair: Pair, tmp_path: Path) -> Identities:
    return secure(pair, tmp_path)


def test_a_pair_replicates_hands_over_and_takes_over(pair: Pair, made: Identities) -> None:
    """R7, B31: all of it, and a killed primary is noticed at once: its fencer says so."""
    pair.configure({"failover": {"down_interval_s": NEVER_S}})
    alpha, beta = pair.start()
    (alpha.folder / "large").write_bytes(content := os.urandom(3_000_000))
    beta.wait_file("large", content)
    rows = alpha.sbs("probe").stdout
    assert "pass  tls: TLSv1.3, TLS_" in rows
    assert f"proven by the certificate of beta ({made.certificate('beta').fingerprint})" in rows
    assert "security    TLS 1.3, certificates until 20" in alpha.sbs("status").stdout
    alpha.ask("switchover")
    pair.wait_settled(beta, alpha)
    beta.kill()
    alpha.wait_role("primary")
    alpha.wait_logged("its fencer has ended the services")
    assert alpha.wait_service()["node"] == "alpha"


def test_a_frozen_primary_is_noticed_by_silence(pair: Pair, made: Identities) -> None:
    alpha, beta = pair.start()
    alpha.signal(signal.SIGSTOP)
    beta.wait_role("primary")
    beta.wait_service()
    alpha.signal(signal.SIGCONT)
    pair.wait_settled(beta, alpha)


def test_nothing_of_sbs_travels_in_plain(pair: Pair, made: Identities) -> None:
    """What a caller hears who does not speak TLS, and who stays silent: nothing but an alert."""
    alpha, _ = pair.start()
    with socket.create_connection(("127.0.0.1", alpha.port), timeout=20) as sock:
        assert sock.recv(1000) == b""  # closed after GREETING_S without a word
    with socket.create_connection(("127.0.0.1", alpha.port), timeout=20) as sock:
        sock.sendall(b"\x93SBS\r\n\x1a\n")
        assert sock.recv(1000) == b"\x15\x03\x03\x00\x02\x02\x46"  # alert protocol_version
        assert sock.recv(1000) == b""
    alpha.wait_logged("speaks SBS without TLS; set tls.identity and tls.peer_certificate on both")
    assert alpha.role == "primary"


def test_the_identity_is_changed_while_the_pair_runs(pair: Pair, made: Identities) -> None:
    """Rotation without downtime: the session stands, the next one shows the new certificate."""
    alpha, beta = pair.start()
    session = alpha.status()["peer"]
    assert session["connected"]
    os.replace(made.pins("beta", "new"), made.pins("beta"))
    os.replace(made.path("new"), made.path("beta"))
    (alpha.folder / "during").write_bytes(b"the session goes on")
    beta.wait_file("during", b"the session goes on")
    beta.kill()
    beta.start()
    pair.wait_settled(alpha, beta)
    assert "identity-refused" not in {**alpha.alarms, **beta.alarms}


def test_a_wrong_file_ends_the_start_with_what_to_do(pair: Pair, made: Identities) -> None:
    alpha = pair.alpha
    for spoil, words in (
        (lambda path: os.chmod(path, 0o644), "everybody can read it; run chmod go= on it"),
        (os.unlink, "does not exist; sbs init and sbs pair make it"),
    ):
        spoil(made.path("alpha"))
        alpha.start()
        assert alpha.wait() == 78
        assert words in alpha.log_text


def test_insecure_is_said_again_and_again(tmp_path: Path) -> None:
    """In the log and in `sbs status`, for as long as it is so."""
    with pair_in(tmp_path) as pair:
        alpha: Node = pair.alpha
        alpha.configure({"node": {"listen": f"0.0.0.0:{alpha.port}"}, "tls": {"insecure": True}})
        alpha.start()
        assert "neither encrypted nor authenticated" in alpha.wait_alarm("insecure")
        shown = alpha.sbs("status").stdout
        assert "security    no TLS: neither encrypted nor authenticated" in shown
        assert "run sbs pair" in shown
        assert alpha.status()["security"] == {
            "tls": False,
            "fingerprint": "",
            "peer_fingerprint": "",
            "expires": None,
        }
