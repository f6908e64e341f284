"""What comes from this machine: commands, answers, the fencer, the bus; and from the witness."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import attrs
import httpx
import trio

from sbs.adapters.notifiers import smtp
from sbs.adapters.services import channel, survivor
from sbs.adapters.services.systemd import leash
from sbs.adapters.witnesses.etcd import EtcdWitness
from sbs.errors import NotifyError, RefusedError, SbsError, ServiceError, WitnessError
from sbs.ports import NotifierOptions, WitnessOptions
from sbs.runtime.operating import client
from sbs.runtime.operating.farewell import Farewell
from sbs.runtime.operating.requests import Requests
from tests.fuzz.contract import KIB, MIB, Form, Target, is_proper, shaped, unpacked

MAX_STEP: Final = 400
"""Characters of a step's outcome, in a conversation with a mail server."""

MAX_ANSWER_BYTES: Final = 64 * KIB
"""Of an answer to any request: names are quoted, not repeated at length."""


class Stream(trio.abc.Stream):
    """One end of a connection: gives some bytes, and keeps what is written."""

    def __init__(self, data: bytes) -> None:
        self._rest = data
        self.written = bytearray()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        data, self._rest = self._rest[:max_bytes], self._rest[len(self._rest[:max_bytes]) :]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.written += data

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@attrs.frozen
class Answer:
    """What a node says to every command."""

    def to_json(self) -> dict[str, Any]:
        return {}


class Asked:
    """A node and its folders, that only take what they are asked."""

    async def status(self) -> Any:
        return Answer()

    async def stop(self, *, force: bool = True) -> None:
        assert type(force) is bool
        raise RefusedError("it goes on")

    async def switchover(self, *, dry_run: bool = False) -> Any:
        return Answer()

    async def takeover(self, *, force: bool) -> None:
        assert type(force) is bool

    async def pause(self) -> None:
        return None

    async def resume(self) -> None:
        return None

    async def sync(self, *, accepted: str = "", quick: bool = False) -> Any:
        assert type(quick) is bool
        return None

    async def diff(self) -> Any:
        return Answer()

    async def verify(self, bytes_s: float = 0.0) -> Any:
        assert 0 <= float(bytes_s) < float("inf"), f"a speed of {bytes_s}"
        return Answer()

    async def start_unit(self, name: str, *, again: bool = False) -> None:
        name.encode("utf-8", "surrogateescape")

    async def stop_unit(self, name: str) -> str:
        return name

    def look(self) -> Any:
        return Answer()

    async def restore(self, folder: str, path: str, generation: int) -> str:
        assert 0 <= generation < 2**63, f"generation {generation}"
        os.fsencode(path)
        return f"{folder}/{path}"


def command(data: bytes) -> bool:
    """A line to the control socket: nothing of it ends the node, and each whole one is answered."""
    asked: Any = Asked()
    requests, stream = Requests(asked, "/nonexistent", asked, Farewell()), Stream(data)
    converse: Any = requests._converse
    try:
        trio.run(converse, stream)
    except ValueError:  # the connection is dropped
        return False
    if not stream.written:
        return False
    assert len(stream.written) <= MAX_ANSWER_BYTES
    assert stream.written.count(b"\n") == 1
    answer = json.loads(stream.written)
    assert answer["ok"] or answer["exit_code"]
    return bool(answer["ok"])


def hear_answer(data: bytes) -> bool:
    """What stands behind the control socket answers anything."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(data)
        client._result(client._read_line(ours, "/run/control.sock", float("inf")), "control.sock")
    return True


def hear_fencer(data: bytes) -> bool:
    """A report of the fencer of processes."""
    return channel._parse_report(data).run >= 0


def hear_unit_fencer(data: bytes) -> bool:
    """A report of the fencer of units."""
    done = leash.parse_report(data)
    return done is None or done >= 0


class Fencer(survivor.Survivor):
    """Obeys, and does nothing."""

    ended = False

    def stop_all(self, left_s: float) -> None:
        assert left_s >= 0

    def end(self) -> None:
        self.ended = True

    def take(self, message: dict[str, Any]) -> None:
        return None


def order_fencer(data: bytes) -> bool:
    """A packet of SBS to its fencer; with one that makes no sense the services end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    fencer = Fencer(theirs.fileno())
    with ours, theirs:
        ours.send(data[: survivor.MAX_MESSAGE_BYTES])
        return fencer.obey()


class _Body(httpx.AsyncByteStream):
    """What is answered, in pieces."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


class Endpoint(httpx.AsyncBaseTransport):
    """An etcd that answers what it was given, in turn."""

    def __init__(self, answers: Sequence[tuple[int, bytes]]) -> None:
        self._answers = [*answers]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        status, body = self._answers.pop(0) if self._answers else (500, b"")
        return httpx.Response(status, stream=_Body([body]))


def ask_etcd(data: bytes) -> bool:
    """Answers of etcd, in msgpack: each JSON, or the bytes themselves."""
    answers: list[tuple[int, bytes]] = []
    with shaped():
        for each in unpacked(data):
            body = each if isinstance(each, bytes) else json.dumps(each).encode()
            answers.append((503 if body == b"" else 200, body))
    return trio.run(_vote, answers)


async def _vote(answers: Sequence[tuple[int, bytes]]) -> bool:
    options = WitnessOptions(pair="p", endpoints=("http://127.0.0.1:1",))
    async with httpx.AsyncClient(transport=Endpoint(answers)) as http:
        witness = EtcdWitness(http, options)
        vote = await witness.acquire("me", 10.0)
        assert isinstance(vote.holder, str)
        renewed = await witness.acquire("me", 10.0)
        await witness.release("me")
        return vote.granted and renewed.granted


class Conversation(smtp._Conversation):
    """With a server that has said everything before it was asked."""

    def __init__(self, sock: socket.socket) -> None:
        options = NotifierOptions(
            server="mail",
            port=25,
            security="none",
            account="ops",
            password="secret-1",
            sender="sbs@example.org",
        )
        super().__init__(options, 1.0, lambda step: is_proper(ValueError(step.detail), MAX_STEP))
        self._theirs = sock

    def _connect(self) -> str:
        self._use(self._theirs)
        return "connected"


def talk_to_mail_server(data: bytes) -> bool:
    """Everything that a mail server answers, in a row; a password is not quoted again."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * len(data) + 4 * KIB)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        try:
            Conversation(ours).deliver(b"Subject: x\r\n\r\nx\r\n", ["a@x.org", "b@x.org"])
        except NotifyError as error:
            is_proper(error, 3 * MAX_STEP)
            if "secret-1" in str(error):
                raise AssertionError("a password in an error") from error
            raise
    return True


_PACKET: Final[Mapping[str, Any]] = {"form": Form.JSON, "allowed": (ServiceError,)}

TARGETS: Final = (
    Target(
        name="command",
        run=command,
        form=Form.JSON,
        tokens=(b"NaN", b"Infinity", b"1e999", b'"\\ud800"', b'"\\u0000"', b"[" * 1100, b"\n"),
        longest_bytes=16 * KIB,
        held_bytes=2 * MIB,
        weight=6,
    ),
    Target(
        name="answer",
        run=hear_answer,
        allowed=(SbsError,),
        form=Form.JSON,
        tokens=(b"\n", b"NaN", b"[" * 1100),
    ),
    Target(name="report", run=hear_fencer, **_PACKET),
    Target(name="unit-report", run=hear_unit_fencer, **_PACKET),
    Target(
        name="order",
        run=order_fencer,
        form=Form.JSON,
        allowed=(ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError),
        weight=1,
    ),
    Target(
        name="smtp",
        run=talk_to_mail_server,
        allowed=(NotifyError,),
        form=Form.TEXT,
        tokens=(b"250-", b"250 ", b"334 ", b"235 ok\r\n", b"354 ", b"AUTH PLAIN CRAM-MD5", b"-1 "),
        longest_bytes=12 * KIB,
        held_bytes=2 * MIB,
        weight=3,
    ),
    Target(
        name="etcd",
        run=ask_etcd,
        allowed=(WitnessError,),
        form=Form.MSGPACK,
        held_bytes=4 * MIB,
        weight=4,
    ),
)
