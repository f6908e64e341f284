"""One TLS connection over another stream.

Like :class:`trio.SSLStream`, for what SBS sends: megabytes. That one takes a task switch and a
call of the socket for each record of 16 KiB; this one decrypts all that has come in one go.

Rules:

1. Before anything is sent or received the handshake is made, by whichever call comes first.
2. No byte of the application is ever sent or taken in plain.
3. An end without TLS's own goodbye (``close_notify``) is a broken connection, no end.
4. What goes wrong is told to the other side by an alert, so that both logs can say why.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Generator
from typing import Final, Protocol, cast

import trio

from sbs.adapters.transports.tls_records import PLAIN_ALERT, is_record, is_tls
from sbs.errors import IdentityError, TransportError

PIECE_BYTES: Final = 256 * 1024
"""Encrypted, or received, at a time: in few calls, and little memory unused."""

SHAKE_BYTES: Final = 16 * 1024
"""Received at a time before the handshake is made: a stranger gets no more room than a record."""

MAX_ALIEN_BYTES: Final = 256
"""Looked at of what is not TLS: enough for a testament, or the first line of another protocol."""

GOODBYE_S: Final = 1.0
"""How long a last word, be it an alert or the goodbye, may take to be written and read."""

_NOT_WHOLE: Final = "what was sent last was not sent whole"


class Judge(Protocol):
    """What one side of a connection knows of the other, and says of it."""

    def explain(self, error: ssl.SSLError, *, admitted: bool) -> IdentityError:
        """What an error of TLS means, and what to do.

        Args:
            error: as OpenSSL found it.
            admitted: it came after :meth:`admit`, encrypted: an alert is the other side's own.
        """
        ...

    def admit(self, certificate: bytes) -> None:
        """Look at the other side's certificate (DER), after the handshake.

        Raises:
            IdentityError: it is not the one that is expected.
        """
        ...

    def alien(self, data: bytes, *, is_end: bool) -> TransportError | None:
        """What to raise if the other side's first bytes are no TLS; ``None``: wait for more.

        Args:
            data: 1 to :data:`MAX_ALIEN_BYTES` of them.
            is_end: no more of them will come.
        """
        ...


class TlsStream(trio.abc.Stream):
    """Bytes in one TLS connection.

    As for any trio stream, one task may send and one receive at a time.

    Args:
        transport_stream: below.
        context: TLS, as this side wants it.
        server_side: whether this side was called.
        judge: knows who the other side must be.
    """

    def __init__(
        self,
        transport_stream: trio.abc.Stream,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        judge: Judge,
    ) -> None:
        self.transport_stream: trio.abc.Stream = transport_stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._judge = judge
        self._shaking = trio.Lock()
        self._sending = trio.StrictFIFOLock()
        self._has_sender = False
        self._ready = False
        self._closed = False
        self._broken = ""
        self._later: ssl.SSLError | None = None
        self._buffer = bytearray()

    @property
    def cipher(self) -> str:
        """Version and cipher, for people; empty before the handshake."""
        found = self._tls.cipher()
        return "" if found is None else f"{found[1]}, {found[0]}"

    @property
    def peer_certificate(self) -> bytes:
        """That of the other side (DER); empty before the handshake."""
        return (self._tls.getpeercert(binary_form=True) or b"") if self._ready else b""

    # The handshake.

    async def do_handshake(self) -> None:
        """Make the handshake, if it was not made yet.

        Raises:
            IdentityError: the other side is not the one that is expected, or refuses this one.
            TransportError: it does not speak TLS.
            trio.BrokenResourceError: the connection broke meanwhile.
        """
        async with self._shaking:
            if self._ready:
                return
            self._check()
            try:
                await self._shake_hands()
            except BaseException:  # cancelled, too: where it stands is unknown
                self._broken = self._broken or "the handshake was not finished"
                raise
            self._buffer = bytearray(PIECE_BYTES)
            self._ready = True

    async def _shake_hands(self) -> None:
        if not self._tls.server_side:
            await self._shake_once()
        self._take(await self._first_words())
        while not await self._shake_once():
            self._take(await self.transport_stream.receive_some(SHAKE_BYTES))
        try:
            self._judge.admit(self._tls.getpeercert(binary_form=True) or b"")
        except IdentityError as error:
            await self._take_leave(str(error))
            raise

    async def _shake_once(self) -> bool:
        """Go on with the handshake as far as what was received allows; whether it is made."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            done = False
        except ssl.SSLEOFError:
            raise self._break("it was closed in the middle of the TLS handshake") from None
        except ssl.SSLError as error:
            raise await self._refuse(error) from error
        else:
            done = True
        await self._flush()
        return done

    async def _first_words(self) -> bytearray:
        """What the other side says first; of a caller all of its ClientHello.

        OpenSSL begins to work, and takes memory for a whole message, at the first byte of one.

        Raises:
            TransportError: it is no TLS.
        """
        data, is_end = bytearray(), False
        while not is_end:
            more = await self.transport_stream.receive_some(SHAKE_BYTES)
            data += more
            is_end = not more
            if not is_tls(data):
                is_all = is_end or len(data) >= MAX_ALIEN_BYTES
                error = self._judge.alien(bytes(data[:MAX_ALIEN_BYTES]), is_end=is_all)
                if error is not None:
                    await self._leave_alien(str(error))
                    try:
                        raise error
                    finally:
                        del error  # it refers to this frame: the collector alone would free both
            elif not self._tls.server_side or is_record(data, SHAKE_BYTES):
                break
        return data

    async def _leave_alien(self, why: str) -> None:
        """Close on somebody who does not speak TLS; a caller is told so."""
        self._broken = why
        if self._tls.server_side:
            self._outgoing.write(PLAIN_ALERT)
            await self._take_leave(why)

    # Bytes of the application.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send.

        Raises:
            IdentityError: as for :meth:`do_handshake`.
            trio.BrokenResourceError: the connection is broken.
            trio.BusyResourceError: another task is sending.
        """
        with self._one_sender(), memoryview(data) as view:
            if not self._ready:
                await self.do_handshake()
            if not view:  # OpenSSL has nothing to say then
                await trio.lowlevel.checkpoint()
                self._check()
            at = 0
            try:
                for at in range(0, len(view), PIECE_BYTES):
                    await self._send_piece(view[at : at + PIECE_BYTES])
            except BaseException:  # cancelled, too
                if at:
                    self._broken = self._broken or _NOT_WHOLE
                raise

    async def _send_piece(self, piece: memoryview) -> None:
        async with self._sending:
            self._check()
            try:
                self._tls.write(piece)
            except ssl.SSLError as error:
                raise self._break(str(self._explain(error))) from error
            await self._send_outgoing()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the stream below takes more.

        Raises:
            trio.BrokenResourceError: the connection is broken.
            trio.BusyResourceError: another task is sending.
        """
        with self._one_sender():
            async with self._sending:
                self._check()
                await self.transport_stream.wait_send_all_might_not_block()

    @contextlib.contextmanager
    def _one_sender(self) -> Generator[None]:
        """Two at once would mix the pieces of what they send."""
        if self._has_sender:
            raise trio.BusyResourceError("another task is sending on this connection")
        self._has_sender = True
        try:
            yield
        finally:
            self._has_sender = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive and decrypt what has come; empty: the other side has said goodbye.

        Args:
            max_bytes: at least 1; never are more than :data:`PIECE_BYTES` returned.

        Raises:
            IdentityError: the other side refuses this one, or what came was changed on its way.
            trio.BrokenResourceError: the connection is broken.
        """
        most = PIECE_BYTES if max_bytes is None else min(max_bytes, PIECE_BYTES)
        if most < 1:
            raise ValueError(f"max_bytes is {max_bytes}; allowed are 1 and more")
        if not self._ready:
            await self.do_handshake()
        await trio.lowlevel.checkpoint()  # also where all that is wanted has come already
        with memoryview(self._buffer)[:most] as view:
            while True:
                self._check()
                try:
                    return bytes(view[: self._decrypt(view)])
                except ssl.SSLWantReadError:
                    await self._flush()
                    self._take(await self.transport_stream.receive_some(PIECE_BYTES))
                except ssl.SSLEOFError:
                    raise self._break("it ended without a goodbye") from None
                except ssl.SSLError as error:
                    raise await self._refuse(error) from error

    def _decrypt(self, view: memoryview) -> int:
        """Decrypt what is there, a record after the other, into one buffer.

        Returns:
            how many bytes; none: the other side has said goodbye.

        Raises:
            ssl.SSLError: there is nothing to decrypt, and this is why.
        """
        if self._later is not None:
            raise self._later
        count = 0
        while count < len(view):
            try:
                some = self._read_into(view[count:])
            except ssl.SSLWantReadError:
                if not count:
                    raise
                break
            except ssl.SSLError as error:
                self._later = error  # after what came before it
                if not count:
                    raise
                break
            if not some:
                break
            count += some
        return count

    def _read_into(self, view: memoryview) -> int:
        # Into any buffer, but typeshed knows bytearrays alone.
        return cast("int", self._tls.read(len(view), cast("bytearray", view)))

    async def aclose(self) -> None:
        """Say goodbye, if the other side takes it at once, and close."""
        begun, self._closed = self._closed or not self._ready or bool(self._broken), True
        try:
            if not begun:
                with trio.move_on_after(GOODBYE_S):
                    await self._say_goodbye()
        finally:
            await self.transport_stream.aclose()

    async def _say_goodbye(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # that of the other side is not waited for
            self._tls.unwrap()
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._flush()

    # The stream below.

    def _take(self, data: bytes | bytearray) -> None:
        """What was received, or its end, is for TLS."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        """Send what TLS itself has to say, such as the answer to a change of keys."""
        if self._outgoing.pending:
            async with self._sending:
                await self._send_outgoing()

    async def _send_outgoing(self) -> None:
        data = self._outgoing.read()
        try:
            if data:
                await self.transport_stream.send_all(data)
        except BaseException:  # cancelled, too: a part of a record may be on its way
            self._broken = self._broken or _NOT_WHOLE
            raise

    async def _refuse(self, error: ssl.SSLError) -> IdentityError:
        found = self._explain(error)
        await self._take_leave(str(found))
        return found

    def _explain(self, error: ssl.SSLError) -> IdentityError:
        return self._judge.explain(error, admitted=self._ready)

    async def _take_leave(self, why: str) -> None:
        """Send the alert that TLS has prepared, so that the other side learns why, and end."""
        self._broken = why
        with trio.move_on_after(GOODBYE_S):
            try:
                async with self._sending:  # another task may be in the middle of a record
                    await self._send_outgoing()
                    if isinstance(self.transport_stream, trio.SocketStream):
                        await self.transport_stream.send_eof()
                # A close with unread data would take the alert back.
                while await self.transport_stream.receive_some(SHAKE_BYTES):
                    pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # it has gone, which is what is wanted

    def _break(self, text: str) -> trio.BrokenResourceError:
        self._broken = text
        return trio.BrokenResourceError(text)

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this side has closed the connection")
        if self._broken:
            raise trio.BrokenResourceError(self._broken)
