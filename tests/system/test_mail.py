"""Real nodes tell real SMTP servers of a takeover: R50, R51, B50 (Must show 3)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from sbs.adapters.notifiers.message import ID_HEADER
from tests.adapters.smtp_servers import ANSWERS, MailServer, scripted
from tests.support import free_ports, wait_until
from tests.system.nodes import Node, Pair

PASSWORD = "Tr0ub4dor-and-3"


def mail_to(port: int, **changes: Any) -> dict[str, Any]:
    mail = {
        "enabled": True,
        "server": "localhost",
        "port": port,
        "sender": "sbs@example.org",
        "receivers": ["a@example.org"],
    }
    return {"mail": {**mail, **changes}}


def queued(node: Node) -> list[Path]:
    return list((node.state_dir / "mail").glob("*.json"))


def ids(server: MailServer) -> list[str]:
    return [each.message[ID_HEADER] for each in server.received]


def takeover_id(node: Node) -> str:
    status = node.status()
    return f"takeover.{status['node_id']}.{status['epoch_token']}"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def test_a_takeover_is_mailed_once(pair: Pair, server: MailServer) -> None:
    """R51"""
    pair.configure(mail_to(server.port))
    alpha, beta = pair.start()
    (alpha.folder / "kept").write_bytes(b"kept")
    beta.wait_file("kept", b"kept")
    assert not server.received  # nobody is told of an ordinary start
    alpha.kill()
    wait_until(lambda: server.received, "the mail arrives")
    assert ids(server) == [takeover_id(beta)]
    message = server.received[0].message
    assert message["Subject"].startswith("[SBS] beta has taken over from alpha; no service ran for")
    text = message.get_body(("plain",))
    assert text is not None
    words = text.get_content()
    assert "Nothing has to be done at once." in words
    assert f"Data              generation {beta.status()['generation']}" in words
    assert "Services          web" in words
    alpha.start()
    pair.wait_settled(beta, alpha)
    beta.stop()  # and hand over: another event, and it is alpha that tells it
    wait_until(lambda: len(server.received) == 2, "the second mail arrives")
    assert "beta has handed its role to alpha" in server.received[1].message["Subject"]
    assert not queued(alpha)
    assert not queued(beta)


def test_a_server_that_is_down_gets_it_when_it_is_back(pair: Pair) -> None:
    """B50"""
    (port,) = free_ports(1)
    pair.configure(mail_to(port))
    alpha, beta = pair.start()
    alpha.kill()
    assert "connect: Connection refused; messages that wait: 1" in beta.wait_alarm("mail-failed")
    with MailServer(port=port) as server:
        wait_until(lambda: server.received, "the mail arrives")
        wait_until(lambda: "mail-failed" not in beta.alarms, "and the alarm is over")
    assert ids(server) == [takeover_id(beta)]
    assert not queued(beta)


def test_kill_9_between_queueing_and_sending(pair: Pair) -> None:
    """B50: the server is down; the mail is sent by the next process, and is the same."""
    (port,) = free_ports(1)
    pair.configure(mail_to(port))
    alpha, beta = pair.start()
    alpha.kill()
    beta.wait_alarm("mail-failed")
    beta.wait_service()
    expected = takeover_id(beta)
    assert [path.stem for path in queued(beta)] == [expected]
    beta.kill()
    with MailServer(port=port) as server:
        beta.start()
        wait_until(lambda: expected in ids(server), "the mail arrives")
        beta.wait_role("primary")
        wait_until(lambda: len(server.received) == 2, "so does that of the restart")
        wait_until(lambda: not queued(beta), "nothing is left")
        assert "mail-failed" not in beta.alarms
    assert sorted(ids(server)) == sorted({expected, ids(server)[1]})
    assert ids(server)[1].startswith("restart.")


def test_kill_9_after_the_server_has_it_and_before_it_says_so(pair: Pair) -> None:
    """B50: it arrives twice, with one id."""
    answers = {word: answer for word, answer in ANSWERS.items() if word != "."}
    with scripted(answers) as script:
        pair.configure(mail_to(script.port, also=["alarm"]))
        alpha, beta = pair.start()
        alpha.kill()
        wait_until(lambda: b".\r\n" in script.heard, "the server has all of it")
        expected = takeover_id(beta)
        beta.kill()
    assert f"{ID_HEADER}: {expected}\r\n".encode() in script.heard
    with MailServer(port=script.port) as server:
        beta.start()
        wait_until(lambda: not queued(beta) and server.received, "the mail arrives")
        beta.stop()
    assert ids(server) == [expected]


def test_secrets_stay_where_they_are(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """R50: in no log, status, state, and in the environment of nothing that SBS starts."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SBS_MAIL_PASSWORD", PASSWORD)
    with MailServer(security="starttls", password=PASSWORD, ca=ca) as server:
        mail = mail_to(
            server.port, security="starttls", account="sbs", ca_file=str(tmp_path / "ca.pem")
        )
        pair.configure(mail)
        alpha, beta = pair.start()
        secret = PASSWORD.encode()
        assert secret not in Path(f"/proc/{beta.fencer_pid}/environ").read_bytes()
        alpha.kill()
        wait_until(lambda: server.received, "the mail arrives")
        assert server.received[0].authenticated
        server.password = "another"
        done = beta.sbs("mail", "test")
        assert done.returncode == 1
        assert "log-in: the server answers 535" in done.stderr
        assert PASSWORD not in done.stdout + done.stderr + str(beta.status())
    for directory, _, names in os.walk(beta.directory):
        for name in names:
            path = Path(directory, name)
            if path.is_file():
                assert secret not in path.read_bytes(), path
