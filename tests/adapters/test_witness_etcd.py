"""The real etcd-server, on loopback."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

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


async def test_an_endpoint_that_is_away_or_hangs_is_passed_over(etcd: Etcd, tmp_path: Path) -> None:
    """B3: a cluster has several."""
    (port,) = free_ports(1)
    with Etcd(tmp_path) as frozen:
        frozen.process.send_signal(signal.SIGSTOP)
        endpoints = (f"http://127.0.0.1:{port}", frozen.endpoint, etcd.endpoint)
        async with open_witness(options(*endpoints, pair="several")) as witness:
            with trio.fail_after(4 * ATTEMPT_S):
                assert (await witness.acquire("a.1", 10.0)).granted
            with trio.fail_after(ATTEMPT_S / 2):  # it is the first from now on
                assert (await witness.acquire("a.1", 10.0)).granted


@asynccontextmanager
async def impostor(answer: bytes, status: str = "200 OK") -> AsyncGenerator[str, None]:
    """A server that is no etcd."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65_536)
            head = (
                f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
            )
            try:
                await stream.send_all(head.encode() + answer)
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        port = listeners[0].socket.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (b"<html>", "200 OK", "no JSON: that is not etcd"),
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
    async with impostor(answer, status) as endpoint, open_witness(options(endpoint)) as witness:
        try:
            await witness.acquire("a.1", 10.0)
        except WitnessError as error:
            failure = str(error)
    assert says in failure
