"""One connection: HTTP/1.1 by h11 (RFC 9112), with a limit on everything the other side decides.

Needs h11 (extra ``web``).
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import Final

import h11
import trio

from sbs.runtime.showing.answer import EVENT_STREAM, HEADERS, Answer, Request, Stream, text
from sbs.runtime.showing.pages import Pages

MAX_HEAD_BYTES: Final = 8192
"""Longest request line with its headers: browsers send about a thousand."""

REQUEST_S: Final = 10.0
"""How long a request may take to arrive, and a connection may be idle before the next one."""

SEND_S: Final = 5.0
"""How long the other side may take to read an answer, or an event: a slow one is left."""

MAX_READ_BYTES: Final = 4096
"""At a time: half of the longest head."""


class Conversation:
    """Answers one connection until either side ends it.

    Args:
        stream: the connection; closed by the caller.
        pages: answer.
    """

    def __init__(self, stream: trio.abc.Stream, pages: Pages) -> None:
        self._stream = stream
        self._pages = pages
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def run(self) -> None:
        """Answer request after request; a side that is slow, gone or wrong ends it."""
        with suppress(trio.TooSlowError, trio.BrokenResourceError):
            await self._converse()

    async def _converse(self) -> None:
        try:
            while (request := await self._next_request()) is not None:
                await self._answer(request)
                if {self._http.our_state, self._http.their_state} != {h11.DONE}:
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await self._give_up(text(error.error_status_hint, f"not HTTP/1.1: {error}"))

    async def _next_request(self) -> Request | None:
        """What is asked next; ``None`` if nothing is any more."""
        with trio.fail_after(REQUEST_S):
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(bytes(await self._stream.receive_some(MAX_READ_BYTES)))
        if not isinstance(event, h11.Request):
            return None
        request = _request(event)
        if not event.http_version.startswith(b"1."):
            await self._give_up(text(505, "HTTP/1.1 is spoken here"), request.method)
            return None
        if not isinstance(self._http.next_event(), h11.EndOfMessage):
            await self._give_up(text(413, "nothing here takes a body"), request.method)
            return None
        return request

    async def _answer(self, request: Request) -> None:
        reply = await self._pages.reply(request)
        if isinstance(reply, Stream):
            await self._send_stream(reply)
        else:
            await self._send(self._written(reply, request.method))

    async def _give_up(self, answer: Answer, method: str = "GET") -> None:
        """A last answer; whatever the other side has sent besides is not looked at."""
        self._pages.count(answer.status)
        await self._send(self._written(answer, method, ("Connection", "close")))

    def _written(self, answer: Answer, method: str, *further: tuple[str, str]) -> bytes:
        """The bytes of an answer (RFC 9110, section 9.3.2: HEAD has the length of GET)."""
        length = 0 if method == "OPTIONS" else len(answer.body)
        headers = [
            *HEADERS,
            ("Content-Type", answer.kind),
            ("Content-Length", str(length)),
            *answer.headers.items(),
            *further,
        ]
        data = self._bytes(h11.Response(status_code=answer.status, headers=headers))
        if length and method != "HEAD":
            data += self._bytes(h11.Data(data=answer.body))
        return data + self._bytes(h11.EndOfMessage())

    def _bytes(self, event: h11.Event) -> bytes:
        return self._http.send(event) or b""

    async def _send(self, data: bytes) -> None:
        with trio.fail_after(SEND_S):
            await self._stream.send_all(data)

    async def _send_stream(self, stream: Stream) -> None:
        """Send until the other side leaves; the head goes with the first chunk."""
        headers = [*HEADERS, ("Content-Type", EVENT_STREAM)]
        head = self._bytes(h11.Response(status_code=200, headers=headers))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._notice_end, nursery.cancel_scope)
                async with aclosing(stream.chunks) as chunks:
                    async for chunk in chunks:
                        await self._send(head + self._bytes(h11.Data(data=chunk)))
                        head = b""
        except* (trio.TooSlowError, trio.BrokenResourceError):
            pass  # as good as gone

    async def _notice_end(self, scope: trio.CancelScope) -> None:
        """Whoever closes, or speaks out of turn, does not listen any more."""
        await self._stream.receive_some(1)
        scope.cancel()


def _request(event: h11.Request) -> Request:
    """What h11 read, as the pages want it; a target may be a URI (RFC 9112, section 3.2.2)."""
    target = event.target.decode("latin-1")
    if target.lower().startswith("http://"):
        target = "/" + target[len("http://") :].partition("/")[2]
    headers = {name: value.decode("latin-1") for name, value in event.headers}
    return Request(
        method=event.method.decode("ascii"),
        path=target.partition("?")[0],
        host=headers.get(b"host", ""),
        last_event_id=headers.get(b"last-event-id", ""),
    )
