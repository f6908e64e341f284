"""What a browser, or anybody, says to the port that shows the status."""

from __future__ import annotations

from typing import Any, Final, cast

import h11
import trio

from sbs.runtime.showing.answer import Answer, Request, text
from sbs.runtime.showing.conversation import MAX_HEAD_BYTES, Conversation
from sbs.runtime.showing.pages import Pages
from tests.fuzz.contract import KIB, MIB, Target
from tests.fuzz.local import Stream


class Shown:
    """Pages that answer everything, and keep what was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def reply(self, request: Request) -> Answer:
        await trio.lowlevel.checkpoint()
        self.asked.append(request)
        return text(200, request.path.encode("ascii", "backslashreplace").decode())

    def count(self, status: int) -> None:
        assert 200 <= status < 600


def answer_requests(data: bytes) -> bool:
    """Everything that one caller sends; each answer is HTTP, and none is without a request."""
    shown, stream = Shown(), Stream(data)
    conversation = Conversation(stream, cast("Pages", shown))
    trio.run(conversation.run)
    for request in shown.asked:
        assert len(request.path) + len(request.last_event_id) <= MAX_HEAD_BYTES
        assert "\r" not in request.last_event_id
        assert "\n" not in request.last_event_id
    _read_answers(bytes(stream.written), shown.asked)
    return bool(shown.asked)


def _read_answers(data: bytes, asked: list[Request]) -> None:
    """As a client reads them: one for each request, and at most one that gives up."""
    methods = [request.method for request in asked]
    for method in methods:
        data = _read_answer(data, method) if data else data
    # What was asked last is not known here; an answer to HEAD has no body.
    if data and data.count(b"\r\n\r\n") == 1 and data.endswith(b"\r\n\r\n"):
        data = _read_answer(data, "HEAD")
    elif data:
        data = _read_answer(data, "GET")
    assert not data, "more answers than requests"


def _read_answer(data: bytes, method: str) -> bytes:
    """Read one answer; what comes after it."""
    client = h11.Connection(h11.CLIENT)
    asked = "HEAD" if method == "HEAD" else "GET"
    client.send(h11.Request(method=asked, target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Response | h11.Data), f"{event!r} to {method}"
    rest: Any = client.trailing_data[0]
    return bytes(rest)


TARGETS: Final = (
    Target(
        name="http",
        run=answer_requests,
        tokens=(
            *(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.0", b"HTTP/2", b"\r\n", b"\n"),
            *(b"\r\n\r\n", b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n"),
            *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Upgrade: h2c\r\n"),
            *(b"Last-Event-ID: 7\r\n", b"OPTIONS *", b"CONNECT x:1", b"http://x/y", b"HEAD"),
            *(b"PRI * HTTP/2.0", b"0\r\n\r\n", b" "),
        ),
        longest_bytes=20 * KIB,
        held_bytes=4 * MIB,
        weight=3,
    ),
)
