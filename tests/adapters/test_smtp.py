"""The SMTP adapter against real servers: R50, B50."""

from __future__ import annotations

import email
from collections.abc import Sequence
from email.header import decode_header, make_header
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
import trustme

from sbs.adapters.notifiers import installed, load, smtp
from sbs.adapters.notifiers.message import ID_HEADER, make_message
from sbs.adapters.notifiers.smtp import open_notifier
from sbs.core.notice import Kind, Notice
from sbs.errors import NotifyError
from sbs.ports import NotifierOptions, SendStep
from sbs.testing.notifiers import PASSWORD, MemoryNotifier, check_notifier
from tests.adapters.smtp_servers import ANSWERS, MailServer, opensmtpd, scripted
from tests.support import wait_until

A, B = "a@example.org", "b@example.org"
NOTICE = Notice(id="takeover.1", kind=Kind.TAKEOVER, at=1_700_000_000.0, node="beta", started=True)
SHORT_S = 0.3


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


async def send(options: NotifierOptions, receivers: Sequence[str] = (A,)) -> list[SendStep]:
    """Send the notice; the steps, whatever becomes of it."""
    steps: list[SendStep] = []
    async with open_notifier(options, step_timeout_s=SHORT_S * 10) as notifier:
        await notifier.send(NOTICE, receivers, steps.append)
    return steps


async def failure(
    options: NotifierOptions, receivers: Sequence[str] = (A,), timeout_s: float = 3.0
) -> tuple[NotifyError, list[SendStep]]:
    steps: list[SendStep] = []
    async with open_notifier(options, step_timeout_s=timeout_s) as notifier:
        with pytest.raises(NotifyError) as caught:
            await notifier.send(NOTICE, receivers, steps.append)
    return caught.value, steps


def test_it_is_found_by_its_name() -> None:
    """B50"""
    assert "smtp" in installed()
    assert load("smtp") is smtp.open_notifier


async def test_the_memory_notifier_keeps_the_promises() -> None:
    """B50"""
    far_end = MemoryNotifier()
    options = NotifierOptions(server="-", port=1, sender="sbs@example.org", password=PASSWORD)
    await check_notifier(far_end.open, options, far_end)


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_the_adapter_keeps_the_promises(security: str, ca: trustme.CA, ca_file: str) -> None:
    """R50, B50: plain, STARTTLS and TLS, with a log-in."""
    encrypted = security != "none"
    with MailServer(security=security, password=PASSWORD, ca=ca if encrypted else None) as server:
        options = server.options(ca_file=ca_file if encrypted else "")
        await check_notifier(open_notifier, options, server)
    assert {each.encrypted for each in server.received} == {encrypted}
    assert {each.authenticated for each in server.received} == {True}


async def test_the_message_is_whole() -> None:
    with MailServer() as server:
        steps = await send(server.options(), (A, B))
    (received,) = server.received
    message = received.message
    assert (received.sender, received.receivers) == ("sbs@example.org", (A, B))
    assert message["To"] == f"{A}, {B}"
    assert message["Message-ID"] == "<takeover.1@example.org>"
    assert message[ID_HEADER] == "takeover.1"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Subject"].startswith("[SBS] beta has taken over")
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert not message.defects
    names = ["connect", "greeting", "EHLO", "sender", f"receiver {A}", f"receiver {B}", "data"]
    assert [step.name for step in steps] == names
    assert all(step.ok for step in steps)


def test_an_encoded_word_in_a_peer_s_name_makes_no_header() -> None:
    """R50: found by review; Python 3.11 decodes it, and writes the line breaks that it holds."""
    peer = "a =?utf-8?q?=0d=0aBcc:x=40y=2ez=0d=0a=0d=0aAll_is_well?="
    for name in (peer, peer.removeprefix("a "), "=" + peer, f"\u00e4 {peer}"):
        raw = make_message(attrs.evolve(NOTICE, peer=name), "sbs@example.org", (A,))
        plain = make_message(NOTICE, "sbs@example.org", (A,))
        message, usual = map(email.message_from_bytes, (raw, plain))
        assert message.keys() == usual.keys()
        kinds = [part.get_content_type() for part in message.walk()]
        assert kinds == ["multipart/alternative", "text/plain", "text/html"]
        subject = str(make_header(decode_header(message["Subject"])))
        assert f"from {name.replace('=?', '= ?')};" in subject


async def test_what_has_to_be_done_now_is_marked() -> None:
    with MailServer() as server, MailServer() as other:
        await send(server.options())
        async with open_notifier(other.options()) as notifier:
            await notifier.send(attrs.evolve(NOTICE, failed="printer-1: no such file"), (A,))
    assert server.received[0].message["Importance"] is None
    assert other.received[0].message["Importance"] == "high"


@pytest.mark.parametrize(
    ("host", "greeted"), [("beta.example.org", "beta.example.org"), ("beta", "[127.0.0.1]")]
)
async def test_it_greets_by_a_full_name_or_by_its_address(
    host: str, greeted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    with scripted(ANSWERS) as script:
        await send(NotifierOptions(server="127.0.0.1", port=script.port, sender="sbs@example.org"))
    assert script.heard[0].lower() == f"ehlo {greeted}\r\n".encode()


# What goes wrong, step by step.


async def test_a_wrong_password_is_told_and_not_shown() -> None:
    """R50"""
    with MailServer(password="right") as server:
        error, steps = await failure(server.options(password="wrong-secret"))
    assert error.permanent
    assert str(error).startswith(f"localhost:{server.port}: log-in: the server answers 535 ")
    assert steps[-1].name == "log-in"
    assert not steps[-1].ok
    assert "wrong-secret" not in f"{error!r} {steps}"
    assert not server.received


@pytest.mark.parametrize(
    "echo",
    ["secret", "AHNicwBzZWNyZXQ=", "c2VjcmV0"],
    ids=["as it is", "as PLAIN has it", "as LOGIN has it"],
)
async def test_a_server_that_repeats_the_password_is_not_repeated(echo: str) -> None:
    """R50: secrets are in no text."""
    answers = {**ANSWERS, "AUTH": f"535 {echo} is wrong"}
    with scripted(answers) as script:
        options = NotifierOptions(
            server="127.0.0.1",
            port=script.port,
            account="sbs",
            password="secret",
            sender="s@example.org",
        )
        error, steps = await failure(options)
    assert "535 (not shown) is wrong" in str(error)
    assert echo not in f"{error!r} {steps} {options!r}"


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_of_a_stranger_is_refused(
    security: str, ca: trustme.CA, ca_file: str
) -> None:
    """B50: verified, and nothing is sent before."""
    with MailServer(security=security, ca=trustme.CA()) as server:
        error, steps = await failure(server.options(ca_file=ca_file))
        assert "TLS: the certificate is not trusted: " in str(error)
        assert error.permanent
        system, _ = await failure(server.options())
        assert "the certificate is not trusted" in str(system)
    assert steps[-1].name == "TLS"
    assert not server.received


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_for_another_name_is_refused(
    security: str, ca: trustme.CA, ca_file: str
) -> None:
    """B50"""
    with MailServer(security=security, ca=ca, names=("mail.example.org",)) as server:
        error, _ = await failure(server.options(ca_file=ca_file))
    assert "not valid for 'localhost'" in str(error)
    assert error.permanent
    assert not server.received


async def test_a_server_without_tls_gets_nothing(ca_file: str) -> None:
    """B50: there is no way back to plain text."""
    with MailServer(password=PASSWORD) as server:
        error, _ = await failure(server.options(security="starttls", ca_file=ca_file))
        assert str(error).endswith("STARTTLS: the server does not offer it; nothing was sent")
        assert error.permanent
        error, _ = await failure(server.options(security="tls", ca_file=ca_file))
        assert "TLS: no TLS can be spoken there" in str(error)
    assert not server.received


async def test_certificates_that_cannot_be_read_are_named(ca: trustme.CA, tmp_path: Path) -> None:
    with MailServer(security="tls", ca=ca) as server:
        missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
        empty.touch()
        error, _ = await failure(server.options(ca_file=str(missing)))
        other, _ = await failure(server.options(ca_file=str(empty)))
    assert f"TLS: mail.ca_file {missing}: No such file or directory" in str(error)
    assert f"TLS: mail.ca_file {empty}: " in str(other)


async def test_an_answer_that_does_not_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """B50: found by review; a line of it came before each timeout, and memory was the limit."""
    monkeypatch.setattr(smtp, "MAX_ANSWERS_BYTES", 10_000)
    line = "220-" + "x" * 996
    with scripted(ANSWERS, greeting="\r\n".join([line] * 11)) as script:
        options = NotifierOptions(server="127.0.0.1", port=script.port, sender="s@example.org")
        error, steps = await failure(options)
    assert str(error) == f"127.0.0.1:{script.port}: greeting: its answers do not end"
    assert not error.permanent
    assert [step.ok for step in steps] == [True, False]


async def test_a_password_beyond_ascii_is_told() -> None:
    with MailServer(password="pässword") as server:
        error, _ = await failure(server.options())
    assert "account and password can be sent only if they are ASCII" in str(error)
    assert error.permanent


async def test_nobody_listens() -> None:
    with MailServer() as server:
        pass
    error, steps = await failure(server.options())
    assert str(error) == f"localhost:{server.port}: connect: Connection refused"
    assert not error.permanent
    assert [step.ok for step in steps] == [False]


async def test_a_name_without_an_address() -> None:
    options = NotifierOptions(server="mail.invalid", port=25, sender="s@example.org")
    error, _ = await failure(options)
    assert "connect: the name has no address" in str(error)
    assert not error.permanent


@pytest.mark.parametrize(("answer", "permanent"), [("452 full", False), ("554 no spam", True)])
async def test_a_message_that_is_refused(answer: str, permanent: bool) -> None:
    """B50: whether to try again is for the server to say."""
    with MailServer(answer_data=answer) as server:
        error, _ = await failure(server.options(), (A, B))
    assert error.permanent is permanent
    assert error.refused == (A, B)
    assert answer in str(error)


@pytest.mark.parametrize(("answer", "permanent"), [("450 later", False), ("550 never", True)])
@pytest.mark.parametrize("command", ["EHLO", "MAIL"])
async def test_a_refusal_that_is_no_message_s_fault_names_no_receiver(
    command: str, answer: str, permanent: bool
) -> None:
    answers = {**ANSWERS, command: answer, "HELO": answer}
    with scripted(answers) as script:
        options = NotifierOptions(server="127.0.0.1", port=script.port, sender="s@example.org")
        error, _ = await failure(options)
    assert error.refused == ()
    assert error.permanent is permanent
    assert answer in str(error)


STEPS = {
    "greeting": "greeting",
    "EHLO": "EHLO",
    "AUTH": "log-in",
    "MAIL": "sender",
    "RCPT": f"receiver {A}",
    "DATA": "data",
    ".": "data",
}


@pytest.mark.parametrize("command", STEPS)
async def test_a_server_that_hangs_is_left_and_the_step_is_named(command: str) -> None:
    """B50: bounded, whichever answer does not come."""
    answers = {word: answer for word, answer in ANSWERS.items() if word != command}
    with scripted(answers, "" if command == "greeting" else "220 there") as script:
        options = NotifierOptions(
            server="127.0.0.1", port=script.port, account="u", password="p", sender="s@example.org"
        )
        error, steps = await failure(options, timeout_s=SHORT_S)
    assert str(error) == f"127.0.0.1:{script.port}: {STEPS[command]}: no answer within 0.3 s"
    assert steps[-1].name == STEPS[command]
    assert not error.permanent
    assert error.refused == ()


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_server_that_hangs_in_the_handshake_is_left(security: str) -> None:
    answers = {"EHLO": "250-there\r\n250 STARTTLS", "STARTTLS": "220 go on"}
    with scripted(answers, "220 there" if security == "starttls" else "") as script:
        options = NotifierOptions(
            server="127.0.0.1", port=script.port, security=security, sender="s@example.org"
        )
        error, steps = await failure(options, timeout_s=SHORT_S)
    assert steps[-1].name == "TLS"
    assert str(error).endswith("TLS: no answer within 0.3 s")


@pytest.mark.parametrize(
    ("command", "before"), [("greeting", "connect"), ("AUTH", "EHLO"), (".", f"receiver {A}")]
)
async def test_a_call_that_is_given_up_leaves_no_thread_behind(command: str, before: str) -> None:
    """The socket is shut down under it, though it would wait much longer."""
    answers = {word: answer for word, answer in ANSWERS.items() if word != command}
    with scripted(answers, "" if command == "greeting" else "220 there") as script:
        options = NotifierOptions(
            server="127.0.0.1", port=script.port, account="u", password="p", sender="s@example.org"
        )
        steps: list[SendStep] = []
        opened = partial(open_notifier, step_timeout_s=1000.0, bound_s=1000.0)
        async with opened(options) as notifier, trio.open_nursery() as nursery:
            nursery.start_soon(notifier.send, NOTICE, (A,), steps.append)
            while not [step for step in steps if step.name == before]:  # noqa: ASYNC110 - of a thread
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        await _wait_idle()


async def test_a_call_has_a_bound_whatever_its_steps_may_take() -> None:
    with scripted({}, "") as script:
        options = NotifierOptions(server="127.0.0.1", port=script.port, sender="s@example.org")
        async with open_notifier(options, step_timeout_s=1000.0, bound_s=SHORT_S) as notifier:
            with pytest.raises(NotifyError, match=r"(connect|greeting): given up after 0.3 s"):
                await notifier.send(NOTICE, (A,))
        await _wait_idle()


async def _wait_idle() -> None:
    """Return when no worker thread speaks SMTP any more."""
    with trio.fail_after(20):
        while _speaking():  # noqa: ASYNC110 - threads tell nobody
            await trio.sleep(0.01)


def _speaking() -> bool:
    import sys  # noqa: PLC0415

    for frame in sys._current_frames().values():
        while frame is not None:
            if frame.f_code.co_name == "deliver" and "smtp.py" in frame.f_code.co_filename:
                return True
            frame = frame.f_back  # type: ignore[assignment]
    return False


async def test_opensmtpd_takes_it_and_passes_it_on(tmp_path: Path) -> None:
    """B50: a server that others wrote, and that is picky."""
    with MailServer() as server, opensmtpd(tmp_path, server.port) as port:
        steps = await send(server.options(port=port), (A, B))
        wait_until(lambda: len(server.deliveries) == 2, "it has passed the message on")
    assert "OpenSMTPD" in steps[1].detail
    assert {each.receiver for each in server.deliveries} == {A, B}
    assert {each.message["Message-ID"] for each in server.received} == {"<takeover.1@example.org>"}
