"""``sbs mail test``: R50."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from sbs.cli import main
from tests.adapters.smtp_servers import MailServer

PASSWORD = "correct horse"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer(security="starttls", password=PASSWORD, ca=trustme.CA()) as server:
        yield server


def config(directory: Path, server: MailServer, **changes: str) -> Path:
    ca_file = directory / "ca.pem"
    assert server.ca is not None
    server.ca.cert_pem.write_to_path(str(ca_file))
    keys = {
        "enabled": "true",
        "server": '"localhost"',
        "port": str(server.port),
        "security": '"starttls"',
        "ca_file": '"ca.pem"',
        "account": '"sbs"',
        "sender": '"sbs@example.org"',
        "receivers": '["a@example.org", "b@example.org"]',
        **changes,
    }
    path = directory / "alpha.toml"
    mail = "".join(f"{key} = {value}\n" for key, value in keys.items())
    path.write_text(f'[node]\nname = "alpha"\npeer = "127.0.0.1:4446"\n[mail]\n{mail}')
    return path


def run(path: Path, password: str | None = PASSWORD) -> tuple[int, str, str]:
    env = {"SBS_CONFIG": None, "SBS_MAIL_PASSWORD": password}
    result = CliRunner().invoke(main, ["mail", "test", "-c", str(path)], env=env)
    assert PASSWORD not in result.output
    return result.exit_code, result.stdout, result.stderr


def test_each_step_is_shown_and_the_message_arrives(tmp_path: Path, server: MailServer) -> None:
    code, out, err = run(config(tmp_path, server))
    assert (code, err) == (0, "")
    words = [line.partition(":")[0] for line in out.splitlines()]
    assert words == [
        *("ok    connect", "ok    greeting", "ok    EHLO", "ok    STARTTLS", "ok    TLS"),
        *("ok    EHLO", "ok    log-in", "ok    sender", "ok    receiver a@example.org"),
        *("ok    receiver b@example.org", "ok    data"),
        "the server has taken the message for a@example.org, b@example.org; it should arrive soon",
    ]
    (received,) = server.received
    assert received.message["Subject"] == "[SBS] alpha: a test message"
    assert received.receivers == ("a@example.org", "b@example.org")


def test_the_password_may_be_in_a_file(tmp_path: Path, server: MailServer) -> None:
    (tmp_path / "secret").write_text(f"{PASSWORD}\n")
    (tmp_path / "secret").chmod(0o600)
    path = config(tmp_path, server, password_file='"secret"')
    assert run(path, password=None)[0] == 0
    (tmp_path / "secret").chmod(0o644)
    code, out, err = run(path)
    assert (code, out) == (1, "")
    assert err == (
        f"Error: mail.password_file {tmp_path}/secret: everybody can read it; run chmod o= on it\n"
        "       docs/mail.md has the settings, and says what becomes of a message.\n"
    )


def test_the_step_that_fails_says_what_the_server_says(tmp_path: Path, server: MailServer) -> None:
    code, out, err = run(config(tmp_path, server), password="wrong")
    assert code == 1
    last = out.splitlines()[-1]
    assert last.startswith("fail  log-in: the server answers 535 ")
    assert err.startswith(f"Error: localhost:{server.port}: log-in: the server answers 535 ")
    assert not server.received


def test_the_rest_gets_it_where_one_is_refused(tmp_path: Path, server: MailServer) -> None:
    server.refuse("a@example.org", permanent=True)
    code, out, err = run(config(tmp_path, server))
    assert code == 1
    assert "fail  receiver a@example.org: the server answers 550 no such user\n" in out
    assert "a@example.org: the server answers 550 no such user" in err
    assert server.received[0].receivers == ("b@example.org",)


def test_mail_can_be_tried_before_it_is_enabled(tmp_path: Path, server: MailServer) -> None:
    code, _, err = run(config(tmp_path, server, enabled="false"))
    assert (code, err) == (0, "mail.enabled is false: no event is mailed\n")


@pytest.mark.parametrize("key", ["sender", "receivers"])
@pytest.mark.parametrize("enabled", ["true", "false"])
def test_without_an_address_nothing_is_tried(
    tmp_path: Path, server: MailServer, key: str, enabled: str
) -> None:
    empty = '""' if key == "sender" else "[]"
    path = config(tmp_path, server, enabled=enabled, **{key: empty})
    code, out, err = run(path)
    assert (code, out) == (78, "")
    assert f"{path}: mail.{key} is not set" in err


def test_the_adapter_is_listed() -> None:
    out = CliRunner().invoke(main, ["adapters"]).stdout
    assert "notifiers  smtp  sbs.adapters.notifiers.smtp:open_notifier" in out
