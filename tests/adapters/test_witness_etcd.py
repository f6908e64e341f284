"""The real etcd-server, on loopback."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from sbs.adapters.witnesses.etcd import ATTEMPT_S, MAX_ANSWER_BYTES, open_witness
from sbs.errors import WitnessError
from sbs.ports import WitnessOptions
from sbs.testing.witnesses import TTL_S, check_witness
from tests.support import Etcd, free_ports


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    with Etcd(tmp_path_factory.mktemp("etcd")) as server:
        yield server


def options(*endpoints: str, pair: str = "pair") -> WitnessOptions:
    return WitnessOptions(pair=pair, endpoints=endpoints)


async def test_etcd_keeps_the_promises_of_a_witness(etcd: Etcd) -> None:
    """B3"""
    await check_witness(open_witness, options(etcd.endpoint, pair="checks"))


async def test_the_vote_outlives_a_restart_of_etcd(tmp_path: Path) -> None:
    """B3: while it is away the error says so."""
    with Etcd(tmp_path) as server:
        async with open_witness(options(server.endpoint)) as one:
            assert (await one.acquire("a.1", 30.0)).granted
            server.kill()
            with pytest.raises(WitnessError, match=f"etcd does not answer.*{server.endpoint}"):
                await one.acquire("a.1", 30.0)
            await trio.to_thread.run_sync(server.start)
            async with open_witness(options(server.endpoint)) as other:
                assert (await other.acquire("b.1", 30.0)).holder == "a.1"
            assert (await one.acquire("a.1", 30.0)).granted


async def test_a_lost_lease_is_no_vote(etcd: Etcd) -> None:
    """B3: etcd answers the renewal of a dead lease like that of a living one, almost."""
    async with (
        open_witness(options(etcd.endpoint, pair="lost")) as one,
        open_witness(options(etcd.endpoint, pair="lost")) as other,
    ):
        assert (await one.acquire("a.1", TTL_S)).granted
        with trio.fail_after(20):
            while not (await other.acquire("b.1", TTL_S)).granted:  # noqa: ASYNC110 - tells nobody
                await trio.sleep(0.05)
        assert not (await one.acquire("a.1", TTL_S)).granted


async def test_refused_votes_leave_no_leases_behind(etcd: Etcd) -> None:
    """B3: a candidate asks four times in each lease, for as long as it takes."""
    async with (
        open_witness(options(etcd.endpoint, pair="leases")) as one,
        open_witness(options(etcd.endpoint, pair="leases")) as other,
        httpx.AsyncClient() as client,
    ):
        assert (await one.acquire("a.1", 30.0)).granted

        async def count() -> int:
            answer = await client.post(f"{etcd.endpoint}/v3/lease/leases", json={})
            return len(answer.json().get("leases", []))

        before = await count()
        for _ in range(20):
            assert not (await other.acquire("b.1", 30.0)).granted
            assert (await one.acquire("a.1", 30.0)).granted
        assert await count() == before
        await one.release("a.1")
        assert await count() == before - 1


async def test_one_cluster_serves_a_hundred_pairs(etcd: Etcd) -> None:
    """B3"""

    async def serve(number: int) -> None:
        async with open_witness(options(etcd.endpoint, pair=f"pair-{number}")) as witness:
            for _ in range(3):
                assert (await witness.acquire(f"a.{number}", 10.0)).granted

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(serve, number)


Meddle = Callable[[str, bytes], Awaitable[bytes | None]]
"""Called with a path and bytes; returns what to answer, ``None`` to hang up."""


@asynccontextmanager
async def serving(handle: Meddle) -> AsyncGenerator[str, None]:
    """A server on loopback; ``handle`` gets a path and a body, and returns a whole response."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive_some(65_536)
            head, _, body = data.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            while len(body) < length:
                body += await stream.receive_some(65_536)
            response = await handle(head.split()[1].decode(), body)
            if response is not None:
                with suppress(trio.BrokenResourceError):  # the caller has given up
                    await stream.send_all(response)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        try:
            yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        finally:
            nursery.cancel_scope.cancel()


def response(answer: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
    return head.encode() + answer


@asynccontextmanager
async def gateway(etcd: Etcd, meddle: Meddle) -> AsyncGenerator[str, None]:
    """Another address of etcd, where ``meddle`` sees each answer first."""
    async with httpx.AsyncClient(timeout=None) as client:  # noqa: S113 - who asks gives up

        async def forward(path: str, body: bytes) -> bytes | None:
            answer = await client.post(etcd.endpoint + path, content=body)
            meddled = await meddle(path.removeprefix("/v3/"), answer.content)
            return None if meddled is None else response(meddled)

        async with serving(forward) as endpoint:
            yield endpoint


async def ask_etcd(etcd: Etcd, path: str, **request: object) -> Any:
    async with httpx.AsyncClient() as client:
        return (await client.post(f"{etcd.endpoint}/v3/{path}", json=request)).json()


async def lease_of(etcd: Etcd, pair: str) -> int:
    """The lease that the vote of a pair is bound to."""
    key = base64.b64encode(f"/sbs/{pair}/primary".encode()).decode()
    return int((await ask_etcd(etcd, "kv/range", key=key))["kvs"][0]["lease"])


async def test_a_vote_whose_answer_got_lost_is_found_at_the_next_endpoint(etcd: Etcd) -> None:
    """B3: the transaction is done, and asked for again: its second failure must not undo it."""

    async def lose(path: str, answer: bytes) -> bytes | None:
        return None if path == "kv/txn" else answer

    async with gateway(etcd, lose) as lossy:
        lost = options(lossy, etcd.endpoint, pair="lost-answer")
        there = options(etcd.endpoint, pair="lost-answer")
        async with open_witness(lost) as one, open_witness(there) as other:
            assert (await one.acquire("a.1", 10.0)).granted
            assert (await other.acquire("b.1", 10.0)).holder == "a.1"


async def test_a_holder_that_asks_anew_and_hears_nothing_keeps_its_vote(etcd: Etcd) -> None:
    """B3: what it has was granted before, and it serves on it."""
    deaf = False

    async def lose(path: str, answer: bytes) -> bytes | None:
        return None if deaf and path == "kv/txn" else answer

    async with gateway(etcd, lose) as lossy:
        pair = "deaf"
        async with open_witness(options(lossy, pair=pair)) as one:
            assert (await one.acquire("a.1", 10.0)).granted
            deaf = True
            with pytest.raises(WitnessError, match="etcd does not answer"):
                await one.acquire("a.1", 20.0)  # longer than its lease: a new one is needed
            async with open_witness(options(etcd.endpoint, pair=pair)) as other:
                assert (await other.acquire("b.1", 10.0)).holder == "a.1"
            deaf = False
            assert (await one.acquire("a.1", 20.0)).granted


async def test_a_release_that_arrives_late_and_twice_takes_no_later_vote(etcd: Etcd) -> None:
    """B3: an endpoint that hung does what it was asked when the next one has done it, too."""
    hanging, arrived, go_on = False, trio.Event(), trio.Event()

    async with httpx.AsyncClient() as client:

        async def delay(path: str, body: bytes) -> bytes:
            if hanging and path.endswith("kv/txn"):
                await go_on.wait()
                await client.post(etcd.endpoint + path, content=body)
                arrived.set()
            return response((await client.post(etcd.endpoint + path, content=body)).content)

        async with serving(delay) as slow:
            pair = "late"
            async with open_witness(options(slow, etcd.endpoint, pair=pair)) as one:
                assert (await one.acquire("a.1", 30.0)).granted
                hanging = True
                await one.release("a.1")
                assert (await one.acquire("a.1", 30.0)).granted
                go_on.set()
                await arrived.wait()
                async with open_witness(options(etcd.endpoint, pair=pair)) as other:
                    assert (await other.acquire("b.1", 30.0)).holder == "a.1"


async def test_a_vote_that_is_given_back_meanwhile_is_had_at_once(etcd: Etcd) -> None:
    """B3: a role is handed over while the other gives its vote back: the next question is late."""
    pair = "handed-over"
    async with open_witness(options(etcd.endpoint, pair=pair)) as one:
        assert (await one.acquire("a.1", 30.0)).granted

        async def give_back(path: str, answer: bytes) -> bytes:
            if path == "lease/grant":  # the vote was looked at, and is not yet asked for
                await one.release("a.1")
            return answer

        async with (
            gateway(etcd, give_back) as between,
            open_witness(options(between, pair=pair)) as other,
        ):
            assert (await other.acquire("b.1", 30.0, replaces="a.1")).granted


async def test_a_renewal_by_a_leader_that_was_replaced_is_none(etcd: Etcd) -> None:
    """B3: it answers, and its followers' new leader knows nothing of it."""
    terms: list[int] = []

    async def age(path: str, answer: bytes) -> bytes:
        if path != "lease/keepalive":
            return answer
        document = json.loads(answer)
        terms.append(int(document["result"]["header"]["raft_term"]))
        document["result"]["header"]["raft_term"] = str(terms[-1] - 1)
        return json.dumps(document).encode()

    async with gateway(etcd, age) as old:
        async with open_witness(options(old, pair="term")) as one:
            assert (await one.acquire("a.1", 30.0)).granted
            before = await lease_of(etcd, "term")
            assert (await one.acquire("a.1", 30.0)).granted
            assert terms
            assert await lease_of(etcd, "term") != before
        async with open_witness(options(etcd.endpoint, pair="term")) as one:
            assert (await one.acquire("a.1", 30.0)).granted
            before = await lease_of(etcd, "term")
            assert (await one.acquire("a.1", 30.0)).granted
            assert await lease_of(etcd, "term") == before, "within a term the lease lives on"


async def test_a_vote_that_has_to_last_longer_gets_a_longer_lease(etcd: Etcd) -> None:
    async with open_witness(options(etcd.endpoint, pair="longer")) as one:
        assert (await one.acquire("a.1", 5.0)).granted
        assert (await one.acquire("a.1", 40.5)).granted
        lease = await lease_of(etcd, "longer")
        assert (await ask_etcd(etcd, "lease/timetolive", ID=str(lease)))["grantedTTL"] == "41"


async def test_a_frozen_etcd_is_an_error_until_it_goes_on(tmp_path: Path) -> None:
    """B3"""
    with Etcd(tmp_path) as server:
        async with open_witness(options(server.endpoint)) as witness:
            assert (await witness.acquire("a.1", 30.0)).granted
            server.process.send_signal(signal.SIGSTOP)
            with trio.fail_after(4 * ATTEMPT_S), pytest.raises(WitnessError, match="within 1 s"):
                await witness.acquire("a.1", 30.0)
            server.process.send_signal(signal.SIGCONT)
            assert (await witness.acquire("a.1", 30.0)).granted


async def test_an_endpoint_that_is_away_or_hangs_is_passed_over(etcd: Etcd) -> None:
    """B3: a cluster has several, and that which answers is the first from then on."""
    asked = 0

    async def hang(path: str, body: bytes) -> bytes:
        nonlocal asked
        asked += 1
        await trio.sleep_forever()
        raise AssertionError

    (port,) = free_ports(1)
    async with serving(hang) as silent:
        endpoints = (f"http://127.0.0.1:{port}", silent, etcd.endpoint)
        async with open_witness(options(*endpoints, pair="several")) as witness:
            assert (await witness.acquire("a.1", 10.0)).granted
            assert (await witness.acquire("a.1", 10.0)).granted
    assert asked == 1


async def test_an_endpoint_that_hangs_is_not_the_first_again(etcd: Etcd) -> None:
    """B3: a caller with little time would never hear of the next one."""

    asked = 0

    async def hang(path: str, body: bytes) -> bytes:
        nonlocal asked
        asked += 1
        scope.cancel()
        await trio.sleep_forever()
        raise AssertionError

    async with (
        serving(hang) as silent,
        open_witness(options(silent, etcd.endpoint, pair="hasty")) as witness,
    ):
        with trio.CancelScope() as scope:
            await witness.acquire("a.1", 10.0)
        assert scope.cancelled_caught
        assert (await witness.acquire("a.1", 10.0)).granted
        assert asked == 1


async def test_an_answer_without_end_is_cut_off() -> None:
    async def flood(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                await stream.send_all(b"1000\r\n" + b" " * 0x1000 + b"\r\n")
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, flood, 0)
        endpoint = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        failure = ""
        with trio.fail_after(4 * ATTEMPT_S):
            async with open_witness(options(endpoint)) as witness:
                try:
                    await witness.acquire("a.1", 10.0)
                except WitnessError as error:
                    failure = str(error)
        nursery.cancel_scope.cancel()
    assert "no answer within 1 s" in failure


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ("lease/grant", b'{"TTL": "30"}'),
        ("lease/grant", b'{"ID": "x", "TTL": "30"}'),
        ("lease/grant", b'{"ID": "7", "TTL": Infinity}'),
        ("lease/grant", b'{"ID": "7", "TTL": "29"}'),
        ("kv/txn", b"{}"),
        ("kv/txn", b'{"responses": [7]}'),
        ("kv/txn", b'{"responses": [{"response_range": {"kvs": 7}}]}'),
        ("kv/range", b'{"kvs": []}'),
        ("kv/range", b'{"header": 7}'),
        ("kv/range", b'{"header": {"raft_term": [1]}}'),
        ("lease/keepalive", b"{}"),
        ("lease/keepalive", b'{"result": {"TTL": "30"}}'),
        ("lease/keepalive", b'{"result": {"TTL": {}}}'),
    ],
)
async def test_an_answer_that_makes_no_sense_is_an_error_at_every_step(
    etcd: Etcd, wrong: str, answer: bytes
) -> None:
    meddling = False

    async def meddle(path: str, true: bytes) -> bytes:
        return answer if meddling and path == wrong else true

    failure = ""
    async with (
        gateway(etcd, meddle) as endpoint,
        open_witness(options(endpoint, pair="sense")) as witness,
    ):
        if wrong == "lease/keepalive":
            assert (await witness.acquire("a.1", 30.0)).granted
        meddling = True
        try:
            await witness.acquire("a.1", 30.0)
        except WitnessError as error:
            failure = str(error)
        meddling = False
        assert (await witness.acquire("a.1", 30.0)).granted
        await witness.release("a.1")
    assert "makes no sense" in failure or "29 s instead of 30" in failure


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (b"<html>", "200 OK", "no JSON: that is not etcd"),
        (b"[" * 50_000, "200 OK", "no JSON: that is not etcd"),
        (b"[]", "200 OK", "makes no sense"),
        (b'{"kvs": [7]}', "200 OK", "makes no sense"),
        (b'{"kvs": [{"value": "!", "mod_revision": "1"}]}', "200 OK", "makes no sense"),
        (b'{"kvs": [{"value": "YQ==", "mod_revision": "x"}]}', "200 OK", "makes no sense"),
        (b" " * (MAX_ANSWER_BYTES + 1), "200 OK", "that is not etcd"),
        (b'{"error": "permission denied"}', "403 Forbidden", "status 403: permission denied"),
        (b"{}", "503 Unavailable", "status 503"),
    ],
)
async def test_whatever_answers_instead_of_etcd_is_an_error(
    answer: bytes, status: str, says: str
) -> None:
    failure = ""

    async def answer_always(path: str, body: bytes) -> bytes:
        return response(answer, status)

    async with serving(answer_always) as endpoint, open_witness(options(endpoint)) as witness:
        try:
            await witness.acquire("a.1", 10.0)
        except WitnessError as error:
            failure = str(error)
    assert says in failure
