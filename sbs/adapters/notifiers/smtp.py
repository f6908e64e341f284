"""Mail by SMTP (RFC 5321), with STARTTLS (RFC 3207) or TLS from the start (RFC 8314).

``smtplib`` speaks, in a worker thread; ``docs/architecture.md`` says why. The thread cannot hang
for ever: each wait for the server has a limit, all of them together have one, and when that passes,
or the caller cancels, the socket is shut down under the thread.
"""

from __future__ import annotations

import base64
import io
import smtplib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from sbs.adapters.notifiers.message import make_message
from sbs.core.notice import Notice
from sbs.core.printable import plain
from sbs.errors import NotifyError
from sbs.ports import Notifier, NotifierOptions, SendStep

STEP_TIMEOUT_S: Final = 20.0
"""How long the server may be silent: it may look up names and scan for viruses meanwhile."""

SEND_BOUND_S: Final = 90.0
"""How long one message may take, all in all: the next one waits for it."""

MAX_ANSWER_CHARS: Final = 300
"""Of a server's answer in a text: the first lines say it."""

MAX_ANSWERS_BYTES: Final = 1024 * 1024
"""Of all answers in one conversation: many times what a hundred receivers take. smtplib keeps an
answer of several lines until its last, which need never come."""

_PERMANENT: Final = 5
"""First digit of a reply code that says not to try the same again (RFC 5321, section 4.2.1)."""


def _nobody(_step: SendStep) -> None:
    """Told of steps where nobody wants to know."""


class SmtpNotifier:
    """A :class:`sbs.ports.Notifier`; made by :func:`open_notifier`.

    Args:
        options: the server, and how to log in there.
        step_timeout_s: of each wait for the server, above 0.
        bound_s: of a whole message, above 0.
    """

    def __init__(self, options: NotifierOptions, step_timeout_s: float, bound_s: float) -> None:
        self._options = options
        self._step_timeout_s = step_timeout_s
        self._bound_s = bound_s

    async def send(
        self,
        notice: Notice,
        receivers: Sequence[str],
        report: Callable[[SendStep], None] = _nobody,
    ) -> None:
        """See :meth:`sbs.ports.Notifier.send`."""
        message = make_message(notice, self._options.sender, receivers)
        talk = _Conversation(self._options, self._step_timeout_s, report)
        try:
            with trio.fail_after(self._bound_s):
                await trio.to_thread.run_sync(
                    talk.deliver, message, receivers, abandon_on_cancel=True
                )
        except trio.TooSlowError as error:
            text = f"{talk.place}: {talk.step}: given up after {self._bound_s:g} s"
            raise NotifyError(text, permanent=False) from error
        finally:
            talk.abort()


class _Conversation:
    """One connection to the server, in a thread; :meth:`abort` may come from another."""

    def __init__(
        self, options: NotifierOptions, timeout_s: float, report: Callable[[SendStep], None]
    ) -> None:
        self.place = f"{options.server}:{options.port}"
        self.step = "connect"
        self._options = options
        self._timeout_s = timeout_s
        self._report = report
        # Without a host it does not connect; the name is for EHLO, and not looked up.
        self._smtp = smtplib.SMTP(local_hostname="localhost", timeout=timeout_s)
        self._socket: socket.socket | None = None
        self._aborted = False

    def deliver(self, message: bytes, receivers: Sequence[str]) -> None:
        """Send one message.

        Raises:
            NotifyError: as :meth:`sbs.ports.Notifier.send`.
        """
        try:
            self._begin()
            self._do("sender", lambda: self._expect(self._smtp.mail(self._options.sender)))
            refusals = {name: self._offer(name) for name in receivers}
            refused = {name: error for name, error in refusals.items() if error is not None}
            if len(refused) < len(refusals):
                self._do("data", lambda: self._expect(self._smtp.data(message)), receivers)
            with suppress(OSError):  # the message is taken, or not, whatever comes now
                self._smtp.quit()
        finally:
            self._smtp.close()
        if refused:
            text = "; ".join(str(error) for error in refused.values())
            permanent = all(error.permanent for error in refused.values())
            raise NotifyError(text, permanent=permanent, refused=tuple(refused))

    def abort(self) -> None:
        """End the connection, whatever the thread waits for; it closes the socket itself."""
        self._aborted = True
        sock = self._socket
        if sock is not None:
            with suppress(OSError):  # it is closed already
                # Not SSLSocket's, after which the thread could go on without TLS.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _begin(self) -> None:
        """Everything up to the first message."""
        options = self._options
        self._do("connect", self._connect)
        if options.security == "tls":
            self._do("TLS", self._encrypt)
        self._do("greeting", lambda: self._expect(self._smtp.getreply()))
        self._do("EHLO", self._hello)
        if options.security == "starttls":
            self._do("STARTTLS", self._ask_for_tls)
            self._do("TLS", self._encrypt)
            self._do("EHLO", self._hello)
        if options.account:
            self._do("log-in", self._log_in)

    def _offer(self, receiver: str) -> NotifyError | None:
        """Name a receiver; one that is refused does not keep the others from their message."""
        try:
            step = f"receiver {receiver}"
            self._do(step, lambda: self._expect(self._smtp.rcpt(receiver)), (receiver,))
        except NotifyError as error:
            if not error.refused:
                raise
            return error
        return None

    # The steps.

    def _connect(self) -> str:
        options = self._options
        sock = socket.create_connection((options.server, options.port), self._timeout_s)
        self._use(sock)
        self._smtp.local_hostname = _own_name(sock)
        host, port = sock.getpeername()[:2]
        return f"connected to {host}, port {port}"

    def _use(self, sock: socket.socket) -> None:
        self._socket = self._smtp.sock = sock
        # A new one: what came unencrypted before TLS began does not count.
        self._smtp.file = _Answers(sock.makefile("rb"))
        if self._aborted:
            self.abort()

    def _encrypt(self) -> str:
        context = _trust(self._options.ca_file)
        assert self._socket is not None  # noqa: S101 - for the type checker
        server = self._options.server
        sock = context.wrap_socket(
            self._socket, server_hostname=server, do_handshake_on_connect=False
        )
        self._use(sock)  # the one before is empty now, and this one can be shut down
        sock.do_handshake()
        return f"{sock.version()}; the certificate is valid for {server}"

    def _hello(self) -> str:
        smtp = self._smtp
        smtp.ehlo_resp, smtp.esmtp_features, smtp.does_esmtp = None, {}, False
        smtp.ehlo_or_helo_if_needed()
        return f"the server offers {', '.join(sorted(smtp.esmtp_features)) or 'nothing'}"

    def _ask_for_tls(self) -> str:
        if not self._smtp.has_extn("starttls"):
            raise smtplib.SMTPNotSupportedError("the server does not offer it; nothing was sent")
        return self._expect(self._smtp.docmd("STARTTLS"))

    def _log_in(self) -> str:
        return self._expect(self._smtp.login(self._options.account, self._options.password))

    # What they have in common.

    def _do(self, step: str, action: Callable[[], str], refused: Sequence[str] = ()) -> None:
        """Take one step and tell of it.

        Raises:
            NotifyError: it failed; ``refused`` if the server has refused the message in it.
        """
        self.step = step
        try:
            detail = action()
        except (OSError, ValueError) as error:  # smtplib's are OSErrors; some answers are no base64
            text, permanent = self._clean(_words(error, self._timeout_s)), _is_permanent(error)
            self._report(SendStep(name=step, ok=False, detail=text))
            answered = isinstance(error, smtplib.SMTPResponseException)
            raise NotifyError(
                f"{self.place}: {step}: {text}",
                permanent=permanent,
                refused=tuple(refused) if answered else (),
            ) from error
        self._report(SendStep(name=step, ok=True, detail=self._clean(detail)))

    def _expect(self, reply: tuple[int, bytes]) -> str:
        """The server's answer, if it is a good one (RFC 5321, section 4.2.1)."""
        code, answer = reply
        if not 200 <= code < 300:
            raise smtplib.SMTPResponseException(code, answer)
        return f"{code} {answer.decode(errors='replace')}"

    def _clean(self, text: str) -> str:
        """``text`` on one line, and without the password, should a server repeat it."""
        text = "; ".join(text.splitlines())
        for secret in _forms(self._options.account, self._options.password):
            text = text.replace(secret, "(not shown)")
        text = plain(text)
        return text if len(text) <= MAX_ANSWER_CHARS else text[: MAX_ANSWER_CHARS - 3] + "..."


class _Answers:
    """What :class:`smtplib.SMTP` reads answers from: a file, with a limit to what it holds."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._left_bytes = MAX_ANSWERS_BYTES
        self.close = file.close

    def readline(self, size: int) -> bytes:
        line = self._file.readline(size)
        self._left_bytes -= len(line)
        if self._left_bytes < 0:
            raise OSError("its answers do not end")
        return line


def _trust(ca_file: str) -> ssl.SSLContext:
    """Verifies certificates against those in a file, or the system's if there is none.

    Raises:
        OSError: the file cannot be read, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # also of what ssl says of the file: not of the server
        why = getattr(error, "reason", "") or error.strerror
        raise OSError(f"mail.ca_file {ca_file}: {why}") from error


def _own_name(sock: socket.socket) -> str:
    """What this machine calls itself in EHLO: a full name, or its address (RFC 5321, 4.1.4)."""
    name = socket.gethostname()
    if "." in name and name.isascii():
        return name
    address = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _forms(account: str, password: str) -> tuple[str, ...]:
    """The password as it may stand in a text: as it is, and as a log-in encodes it."""
    if not password:
        return ()
    logins = (f"\0{account}\0{password}", password)
    return (*(base64.b64encode(text.encode()).decode() for text in logins), password)


def _is_permanent(error: Exception) -> bool:
    """Whether the same again would fail the same, until somebody changes something."""
    match error:
        case smtplib.SMTPResponseException():
            return error.smtp_code // 100 == _PERMANENT
        case smtplib.SMTPNotSupportedError() | ssl.SSLCertVerificationError() | UnicodeError():
            return True
        case _:
            return False


def _words(error: Exception, timeout_s: float) -> str:
    match error:
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=answer):
            words = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
            return f"the server answers {code} {words}"
        case smtplib.SMTPServerDisconnected() if isinstance(error.__context__, OSError):
            return _words(error.__context__, timeout_s)  # smtplib takes all of them for an end
        case smtplib.SMTPServerDisconnected():
            return "the server closed the connection"
        case ssl.SSLCertVerificationError():
            return f"the certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return f"no TLS can be spoken there: {error.reason or error}"
        case socket.gaierror():
            return f"the name has no address: {error.strerror}"
        case TimeoutError():
            return f"no answer within {timeout_s:g} s"
        case UnicodeError():
            return "account and password can be sent only if they are ASCII"
        case ValueError():
            return f"the server's answer makes no sense: {error}"
        case OSError() if error.strerror:
            return error.strerror
        case _:
            return str(error) or type(error).__name__


@asynccontextmanager
async def open_notifier(
    options: NotifierOptions,
    *,
    step_timeout_s: float = STEP_TIMEOUT_S,
    bound_s: float = SEND_BOUND_S,
) -> AsyncGenerator[Notifier, None]:
    """Open the SMTP adapter: the entry point ``smtp``.

    Args:
        options: the server, and how to log in there.
        step_timeout_s: of each wait for the server, above 0.
        bound_s: of a whole message, above 0.
    """
    await trio.lowlevel.checkpoint()
    yield SmtpNotifier(options, step_timeout_s, bound_s)
