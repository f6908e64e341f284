"""Real SMTP servers on loopback: a whole one, and one that stops in the middle."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import attrs
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sbs.adapters.notifiers.message import ID_HEADER
from sbs.ports import NotifierOptions
from sbs.testing.notifiers import Delivery
from tests.support import free_ports, require, wait_until

ACCOUNT = "sbs"


@attrs.frozen(kw_only=True)
class Received:
    """A message as the server took it."""

    sender: str
    receivers: tuple[str, ...]
    message: EmailMessage
    encrypted: bool
    authenticated: bool


@attrs.define
class MailServer:
    """A server of aiosmtpd, and a :class:`sbs.testing.notifiers.FarEnd`; a context manager.

    Args:
        security: ``none``, ``starttls`` or ``tls``.
        password: of :data:`ACCOUNT`; empty: nobody has to log in.
        ca: signs its certificate.
        names: that the certificate is for.
        answer_data: instead of taking a message.
    """

    security: str = "none"
    password: str = ""
    ca: trustme.CA | None = None
    names: tuple[str, ...] = ("localhost", "127.0.0.1")
    answer_data: str = ""
    port: int = attrs.field(factory=lambda: free_ports(1)[0])
    received: list[Received] = attrs.field(factory=list)
    _refusals: dict[str, str] = attrs.field(factory=dict)
    _controller: Controller | None = None

    def options(self, **changes: Any) -> NotifierOptions:
        """How it is reached."""
        options = NotifierOptions(
            server="localhost",
            port=self.port,
            security=self.security,
            account=ACCOUNT if self.password else "",
            password=self.password,
            sender="sbs@example.org",
        )
        return attrs.evolve(options, **changes)

    def start(self) -> None:
        context = self._context() if self.ca else None
        arguments: dict[str, Any] = {"hostname": "127.0.0.1", "port": self.port}
        if self.security == "tls":
            arguments["ssl_context"] = context
        server, security, password = self, self.security, self.password

        class Served(Controller):
            def factory(self) -> SMTP:
                starttls = context if security == "starttls" else None
                return SMTP(
                    self.handler,
                    tls_context=starttls,
                    require_starttls=starttls is not None,
                    authenticator=server._check if password else None,
                    auth_require_tls=security == "starttls",
                )

        self._controller = Served(self, **arguments)
        self._controller.start()

    def stop(self) -> None:
        controller = self._controller
        assert controller is not None
        asyncio.run_coroutine_threadsafe(_all_closed(controller), controller.loop).result()
        controller.stop()
        self._controller = None

    def __enter__(self) -> MailServer:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._controller is not None:
            self.stop()

    def _context(self) -> ssl.SSLContext:
        assert self.ca is not None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert(*self.names).configure_cert(context)
        return context

    def _check(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        right = (ACCOUNT.encode(), self.password.encode())
        given = (data.login, data.password) if isinstance(data, LoginPassword) else ()
        return AuthResult(success=given == right, handled=False)

    async def handle_MAIL(  # noqa: N802 - the handler's interface
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.password and not session.authenticated:
            return "530 log in first"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - the handler's interface
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self._refusals:
            return self._refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the handler's interface
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self.answer_data:
            return self.answer_data
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.SMTP)
        assert server.transport is not None
        self.received.append(
            Received(
                sender=envelope.mail_from or "",
                receivers=tuple(envelope.rcpt_tos),
                message=message,
                encrypted=server.transport.get_extra_info("ssl_object") is not None,
                authenticated=session.authenticated or False,
            )
        )
        return "250 taken"

    # What a check of the adapter controls.

    @property
    def deliveries(self) -> list[Delivery]:
        return [
            Delivery(name, each.message[ID_HEADER])
            for each in self.received
            for name in each.receivers
        ]

    def refuse(self, receiver: str, *, permanent: bool) -> None:
        self._refusals[receiver] = "550 no such user" if permanent else "451 try again later"

    def take_all(self) -> None:
        self._refusals.clear()

    async def leave(self) -> None:
        self.stop()

    async def come_back(self) -> None:
        self.start()


async def _all_closed(controller: Controller) -> None:
    """Return when the server has seen that its clients are gone: it would leave them open."""
    loop, server = controller.loop, controller.server
    assert isinstance(loop, asyncio.SelectorEventLoop)
    assert isinstance(server, asyncio.Server)
    own = 1 + len(server.sockets)  # the loop's own pipe, and what listens
    for _ in range(1000):
        if len(loop._selector.get_map()) <= own:  # type: ignore[attr-defined]
            return
        await asyncio.sleep(0.005)


ANSWERS: Mapping[str, str] = {
    "EHLO": "250-there\r\n250 AUTH PLAIN",
    "AUTH": "235 welcome",
    "MAIL": "250 OK",
    "RCPT": "250 OK",
    "DATA": "354 go on",
    ".": "250 taken",
    "QUIT": "221 bye",
}
"""Of a server that says yes to everything."""


@attrs.frozen
class Script:
    """A server of :func:`scripted`: its port, and every line that it was sent."""

    port: int
    heard: list[bytes] = attrs.field(factory=list)


@contextmanager
def scripted(answers: Mapping[str, str], greeting: str = "220 there") -> Iterator[Script]:
    """A server that answers each command as told, and nothing to one that is missing.

    Args:
        answers: by command; the end of a message is ``.``.
        greeting: sent at first; empty: it never comes.

    """
    listener = socket.create_server(("127.0.0.1", 0))
    script = Script(listener.getsockname()[1])
    calls: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                call, _ = listener.accept()
            except OSError:
                return
            calls.append(call)
            with call, suppress(OSError):
                _answer(call, answers, greeting, script.heard)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield script
    finally:
        for sock in (listener, *calls):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        thread.join()


def _answer(
    call: socket.socket, answers: Mapping[str, str], greeting: str, heard: list[bytes]
) -> None:
    if greeting:
        call.sendall(greeting.encode() + b"\r\n")
    with call.makefile("rb") as lines:
        body = False
        for line in lines:
            heard.append(line)
            word = line.decode("latin-1").strip().partition(" ")[0].upper()
            if body and word != ".":
                continue
            body = word == "DATA" and "DATA" in answers
            if word in answers:
                call.sendall(answers[word].encode() + b"\r\n")


RELAY = """\
listen on lo inet4 port {port} hostname localhost
action "on" relay host smtp://127.0.0.1:{next_port}
match from any for any action "on"
"""

HIDDEN = (
    "mount -t tmpfs -o mode=755 tmpfs /var/spool && mount -t tmpfs -o mode=755 tmpfs /run && "
    'exec smtpd -d -f "$0"'
)
"""OpenSMTPD has one queue and one socket on a machine; this one has its own."""


@contextmanager
def opensmtpd(directory: Path, next_port: int) -> Iterator[int]:
    """OpenSMTPD, which passes everything on to the server on ``next_port``.

    Args:
        directory: for its configuration and log.
        next_port: on loopback.

    Returns:
        its port.
    """
    require("smtpd", "unshare", root=True)
    (port,) = free_ports(1)
    config = directory / "smtpd.conf"
    config.write_text(RELAY.format(port=port, next_port=next_port))

    def listens() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    command = ["unshare", "--mount", "sh", "-c", HIDDEN, str(config)]
    with (
        open(directory / "smtpd.log", "wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            wait_until(listens, "OpenSMTPD listens")
            yield port
        finally:
            process.terminate()
