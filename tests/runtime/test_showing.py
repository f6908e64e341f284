"""B61: a node by HTTP, with real nodes and real connections."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import attrs
import httpx
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from sbs.config import WebSettings
from sbs.core.address import Address
from sbs.core.alarm import Alarm
from sbs.core.claim import Mode, Role
from sbs.core.epoch import Epoch
from sbs.core.licence import Standing
from sbs.dialog import facts
from sbs.dialog.node import Seen
from sbs.dialog.plot import Updates
from sbs.errors import ConfigError
from sbs.runtime.serving.licence_status import LicenceStatus
from sbs.runtime.serving.licensing import Licensing
from sbs.runtime.showing import door, news, pages, snapshots
from sbs.runtime.showing.answer import HEADERS
from sbs.runtime.showing.chronicle import MAX_STAGES, MAX_UPDATES, Chronicle
from sbs.runtime.showing.health import PATHS, Question
from sbs.runtime.showing.snapshots import Shown
from sbs.runtime.updating.last_update import LastUpdate
from sbs.testing.nodes import MemoryNode, wait_until
from tests.runtime.rig import fake
from tests.runtime.web_rig import (
    client_of,
    connected,
    listening,
    read_to_end,
    shown,
    shown_pair,
)

YES = {
    "primary": {Question.PRIMARY, Question.HEALTH, Question.READY},
    "secondary": {Question.SECONDARY, Question.HEALTH, Question.READY},
    "neither": {Question.HEALTH},
}
"""What is true of a node in which situation."""


async def assert_answers(node: MemoryNode, situation: str) -> None:
    """All names of each question, asked by each method, as Patroni's are."""
    async with client_of(node) as client:
        for path, question in PATHS.items():
            expected = 200 if question in YES[situation] else 503
            got = await client.get(f"{path}?lag=1MB")
            assert got.status_code == expected, path
            assert got.json()["serves"] == (situation == "primary")
            for method in ("HEAD", "OPTIONS"):
                bare = await client.request(method, path)
                assert (bare.status_code, bare.content) == (expected, b""), path


async def test_load_balancers_see_who_serves_through_a_takeover(tmp_path: Path) -> None:
    """B61: the services are found where they run, and a node that takes over is found."""
    async with shown_pair(tmp_path) as pair:
        await pair.start()
        await assert_answers(pair.alpha, "primary")
        await assert_answers(pair.beta, "secondary")
        await pair.alpha.kill()
        await pair.beta.wait_role(Role.PRIMARY)
        await wait_until(lambda: pair.beta.node.model.state.value == "primary", "beta serves")
        await assert_answers(pair.beta, "primary")


async def test_a_node_that_waits_is_neither(tmp_path: Path) -> None:
    """B61: alive, and of no use to a load balancer."""
    async with shown_pair(tmp_path) as pair:
        node = attrs.evolve(pair.alpha.config.node, mode=Mode.BACKUP_ONLY)
        pair.alpha.config = attrs.evolve(pair.alpha.config, node=node)
        await pair.alpha.start()
        await pair.alpha.wait_role(Role.WAITING)
        await assert_answers(pair.alpha, "neither")


async def test_a_primary_that_withholds_its_services_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R41, B61: a load balancer must not send anybody there."""
    async with shown_pair(tmp_path) as pair:
        await pair.alpha.start()
        await pair.alpha.wait_role(Role.PRIMARY)
        standing = Standing(problem="it has expired", absent=True)
        refused = LicenceStatus.of(standing, refusal="it has expired")
        async with client_of(pair.alpha) as client:
            assert (await client.get("/primary")).status_code == 200
            monkeypatch.setattr(Licensing, "status", refused)
            assert (await client.get("/primary")).status_code == 503
            assert (await client.get("/ready")).status_code == 503


async def test_the_status_is_that_of_the_command(tmp_path: Path) -> None:
    """B61: names of files and nodes arrive as they are, whatever is in them."""
    name = "</script><script>alert(1)</script>"
    async with shown_pair(tmp_path) as pair:
        settings = attrs.evolve(pair.alpha.config.node, name=f"a{name}")
        pair.alpha.config = attrs.evolve(pair.alpha.config, node=settings)
        await pair.alpha.start()
        await pair.alpha.wait_role(Role.PRIMARY)
        pair.alpha.node.alarms.raise_(Alarm.UPDATE_FAILED, f"{name}\udcff: damaged\r\n\r\nX: y")
        async with client_of(pair.alpha) as client:
            got = await client.get("/status.json")
            assert got.headers["content-type"] == "application/json"
            assert got.json() == json.loads(json.dumps((await pair.alpha.node.status()).to_json()))
            assert got.content.isascii()
            head = await client.head("/status.json")
            assert head.headers["content-length"] == got.headers["content-length"]


async def test_every_answer_has_the_headers_that_keep_browsers_from_mistakes(
    tmp_path: Path,
) -> None:
    async with shown_pair(tmp_path) as pair:
        await pair.alpha.start()
        async with client_of(pair.alpha) as client:
            for method, path, status in (
                ("GET", "/", 200),
                ("GET", "/metrics", 200),
                ("OPTIONS", "/", 200),
                ("GET", "/../etc/passwd", 404),
                ("GET", "/status.json/", 404),
                ("POST", "/primary", 405),
                ("DELETE", "/", 405),
                ("PUT", "/status.json", 405),
            ):
                got = await client.request(method, path)
                assert got.status_code == status, (method, path)
                for header, value in HEADERS:
                    assert got.headers[header] == value
                assert "set-cookie" not in got.headers
                assert "access-control-allow-origin" not in got.headers
                assert (status == 405) <= (got.headers.get("allow") == "GET, HEAD, OPTIONS")


async def test_no_lag_is_not_all_where_there_are_problems(tmp_path: Path) -> None:
    """B61: what no update can send is no lag, but the secondary does not hold it."""
    async with shown_pair(tmp_path) as pair:
        await pair.start()
        await pair.wait_in_step(pair.alpha)
        lag = pair.alpha.node.updates.lag
        async with client_of(pair.alpha) as client:
            await wait_until(lambda: lag.since is None, "it is quiet")
            assert "none: the secondary holds what is here<" in (await client.get("/")).text
            os.mkfifo(Path(pair.alpha.folder) / "pipe")
            await pair.alpha.node.updates.update_now()
            await wait_until(lambda: lag.since is None, "it is quiet again")
            await trio.sleep(2 * snapshots.FRESH_S)  # until then the same page is shown
            text = "none: the secondary holds what is here, but for the files below<"
            assert text in (await client.get("/")).text


async def test_listeners_see_a_role_change(tmp_path: Path) -> None:
    """B61: live, with an id each; who comes back with the last one is not told twice."""
    async with shown_pair(tmp_path) as pair:
        await pair.start()
        async with listening(pair.beta) as events:
            assert "Content-Type: text/event-stream\r\n" in events.head
            first_id, first = await events.next()
            assert (first["name"], first["role"]) == ("beta", "secondary")
            await pair.alpha.kill()
            assert (await events.until_role("primary"))["epoch"] > first["epoch"]
        await pair.beta.wait_alarm("no-secondary")
        async with listening(pair.beta) as events:
            last_id, last = await events.next()
            assert last_id != first_id
        async with listening(pair.beta, last_id) as events:
            pair.beta.node.alarms.raise_(Alarm.WATCH_FAILED, "a reason to tell something")
            next_id, found = await events.next()
            assert next_id != last_id
            assert found["alarms"] != last["alarms"]


def listeners(node: MemoryNode) -> int:
    door = node.node._door
    assert door is not None
    return door._pages._news.listeners


async def test_listeners_are_few_and_leave_their_place(tmp_path: Path) -> None:
    async with shown_pair(tmp_path) as pair:
        await pair.alpha.start()
        async with (
            client_of(pair.alpha) as client,
            connected(pair.alpha, news.MAX_LISTENERS) as streams,
        ):
            for stream in streams:
                await stream.send_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert (await stream.receive_some(65536)).startswith(b"HTTP/1.1 200 ")
            refused = await client.get("/events")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            await streams[0].aclose()
            await wait_until(lambda: listeners(pair.alpha) < news.MAX_LISTENERS, "one has left")
        async with listening(pair.alpha) as events:
            assert events.head.startswith("HTTP/1.1 200 ")


async def test_a_listener_does_not_keep_the_node_from_ending(tmp_path: Path) -> None:
    """Nor does one who never reads: the node's end waits for nobody's browser."""
    async with shown_pair(tmp_path) as pair:
        await pair.alpha.start()
        await pair.alpha.wait_role(Role.PRIMARY)
        async with connected(pair.alpha, 3) as (_silent, listener, deaf):
            await listener.send_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.move_on_after(1):
                while True:  # until it is answered no more, for nobody reads
                    await deaf.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with trio.fail_after(20):
                await pair.alpha.stop()


async def test_a_crowd_that_says_nothing_keeps_nobody_out(tmp_path: Path) -> None:
    """One connection over the limit, and the oldest is closed."""
    async with shown_pair(tmp_path) as pair:
        await pair.alpha.start()
        async with connected(pair.alpha, door.MAX_CONNECTIONS) as crowd:
            async with client_of(pair.alpha) as client:
                assert (await client.get("/health")).status_code == 200
            assert await read_to_end(crowd[0]) == b""


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"HTTP/1.1 400 "),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),  # without Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 20_000, b"HTTP/1.1 431 "),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 413 "),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 413 "),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 505 "),
        (b"OPTIONS /health HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 "),  # what HAProxy sends
        (
            b"GET http://a/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"HTTP/1.1 200 ",
        ),
    ],
)
async def test_what_is_sent_is_answered_once_and_the_connection_ends(
    tmp_path: Path, sent: bytes, line: bytes
) -> None:
    """Bytes of no HTTP, heads and bodies without end, other versions: RFC 9112, section 2.2."""
    async with shown_pair(tmp_path) as pair:
        await pair.alpha.start()
        async with connected(pair.alpha, 1) as (stream,):
            await stream.send_all(sent)
            answer = await read_to_end(stream)
        assert answer.startswith(line)
        assert answer.count(b"\r\nContent-Length: ") == 1
        async with client_of(pair.alpha) as client:
            assert (await client.get("/health")).status_code == 200


async def test_a_port_in_use_is_an_alarm_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node does its work all the same."""
    monkeypatch.setattr(door, "RETRY_S", 0.05)
    async with shown_pair(tmp_path) as pair:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = Address(*taken.getsockname())
            shown(pair.alpha, WebSettings(listen=address))
            await pair.start()
            text = await pair.alpha.wait_alarm("web-failed")
            assert text == f"web.listen = {address}: it cannot be served: Address already in use"
        await pair.alpha.wait_no_alarm("web-failed")
        async with client_of(pair.alpha) as client:
            assert (await client.get("/primary")).status_code == 200


async def test_a_bug_in_an_answer_is_an_alarm_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shown_pair(tmp_path) as pair:
        await pair.start()
        async with client_of(pair.alpha) as client:
            with monkeypatch.context() as broken:
                broken.setattr(pages, "as_json", lambda *_: 1 / 0)
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.get("/health")
            assert "ZeroDivisionError" in await pair.alpha.wait_alarm("web-failed")
            assert (await client.get("/health")).status_code == 200
        assert pair.alpha.role is Role.PRIMARY


async def test_a_service_manager_that_hangs_is_told_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The health of the node does not need it."""
    monkeypatch.setattr(snapshots, "TAKING_S", 0.05)
    async with shown_pair(tmp_path) as pair:
        await pair.alpha.start()
        await pair.alpha.wait_role(Role.PRIMARY)
        async with client_of(pair.alpha) as client:
            with monkeypatch.context() as stuck:
                stuck.setattr(pair.alpha.controller, "states", trio.sleep_forever)
                got = await client.get("/status.json")
                assert got.status_code == 503
                assert "could not be had within" in got.text
                assert (await client.get("/metrics")).status_code == 503
                assert (await client.get("/health")).status_code == 200


async def test_without_its_packages_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("sbs.runtime.showing.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "h11", None)
    async with shown_pair(tmp_path) as pair:
        with pytest.raises(ConfigError, match=r'web.listen = "127.0.0.1:0": .*install sbs\[web\]'):
            await pair.alpha.start()


async def test_metrics_say_how_the_node_is(tmp_path: Path) -> None:
    """B61: as Prometheus' own parser reads them; a service's name is whatever somebody wrote."""
    name = 'a"b\\c\n'
    async with shown_pair(tmp_path) as pair:
        await pair.start()
        pair.alpha.write("settings", "blue")
        await pair.beta.wait_file("settings", "blue")
        await wait_until(lambda: pair.alpha.node.updates.last_update, "the update is known")
        pair.alpha.node.services.restarts[name] = 3
        async with client_of(pair.alpha) as client:
            await client.get("/missing")
            found = await scraped(client)
            with trio.fail_after(20):
                while found["sbs_lag_seconds", ""]:  # for an update looks at the folder
                    await trio.sleep(snapshots.FRESH_S)
                    found = await scraped(client)
            assert found["sbs_role", "primary"] == 1
            assert found["sbs_role", "secondary"] == 0
            assert found["sbs_service_active", "printer-1"] == 1
            assert found["sbs_service_restarts_total", name] == 3
            assert found["sbs_web_requests_total", "404"] == 1
            status = await pair.alpha.node.status()
            assert status.last_update is not None
            for metric, value in (
                ("sbs_serving", 1),
                ("sbs_epoch", status.epoch),
                ("sbs_generation", status.generation),
                ("sbs_peer_connected", 1),
                ("sbs_in_step", 1),
                ("sbs_lag_seconds", 0),
                ("sbs_last_update_timestamp_seconds", status.last_update.at),
                ("sbs_last_update_files", status.last_update.files),
                ("sbs_last_update_bytes", 4),
            ):
                assert found[metric, ""] == pytest.approx(value), metric
            await pair.beta.kill()
            await pair.alpha.wait_alarm("no-secondary")
            await trio.sleep(snapshots.FRESH_S)
            found = await scraped(client)
            assert found["sbs_alarm", "no-secondary"] == 1
            assert found["sbs_peer_connected", ""] == 0
            assert found["sbs_lag_seconds", ""] > 0


async def scraped(client: httpx.AsyncClient) -> dict[tuple[str, str], float]:
    """Each value by its metric and its label."""
    got = await client.get("/metrics")
    assert got.headers["content-type"].startswith("text/plain; version=")
    samples = (
        sample
        for family in text_string_to_metric_families(got.text)
        for sample in family.samples
        if family.name.startswith("sbs_")
    )
    return {(each.name, "".join(each.labels.values())): each.value for each in samples}


async def test_the_page_shows_both_nodes_and_what_has_happened(tmp_path: Path) -> None:
    """B61: whole without scripts; what others have named stays text."""
    name = 'b"<script>alert(1)</script>'
    async with shown_pair(tmp_path) as pair:
        settings = attrs.evolve(pair.beta.config.node, name=name)
        pair.beta.config = attrs.evolve(pair.beta.config, node=settings)
        await pair.start()
        pair.alpha.write("settings", "blue")
        await pair.beta.wait_file("settings", "blue")
        await wait_until(lambda: pair.alpha.node.updates.last_update, "the update is known")
        pair.alpha.node.alarms.raise_(Alarm.UPDATE_FAILED, f"{name}\udcff")
        async with client_of(pair.alpha) as client:
            got = await client.get("/")
            assert got.headers["content-type"] == "text/html; charset=utf-8"
            assert got.text.count(escape(name)) == 2
            assert got.text.count("<script") == 1
            for text in ("PRIMARY", "SECONDARY", "runs here", "update-failed", "1 change, 4 bytes"):
                assert text in got.text
            for path in re.findall(r'(?:href|src)="([^"]*)"', got.text):
                assert (await client.get(path)).status_code == 200, path


async def test_a_service_that_should_run_and_does_not_looks_down(tmp_path: Path) -> None:
    """B32, B61: found by a newcomer; it looked like one that runs, everywhere but in the alarms."""
    async with shown_pair(tmp_path) as pair:
        services = attrs.evolve(pair.alpha.config.services, restart_limit=0)
        pair.alpha.config = attrs.evolve(pair.alpha.config, services=services)
        await pair.start()
        fake(pair.alpha).crash("printer-1")
        status = await pair.alpha.node.status()
        assert status.services.active == status.services.wanted == ("printer-1", "printer-2")
        assert status.services.down == ("printer-1",)
        seen = Seen(role=status.role, status=status.to_json())
        assert ("Services", "printer-1 (down), printer-2") in [*facts.rows(seen, Updates())]
        async with client_of(pair.alpha) as client:
            text = (await client.get("/")).text
            assert '<td>printer-1</td><td class="down">down</td>' in text
            assert '<td>printer-2</td><td class="well">runs here</td>' in text
            found = await scraped(client)
            assert found["sbs_service_active", "printer-1"] == 0
            assert found["sbs_service_active", "printer-2"] == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:4447", 200),
        ("[::1]:4447", 200),
        ("evil.example", 421),
        ("evil.example:4447", 421),
        ("127.0.0.1.evil.example", 421),
        ("a b", 421),
    ],
)
async def test_on_loopback_a_foreign_name_is_not_answered(
    tmp_path: Path, host: str, status: int
) -> None:
    """A page from elsewhere cannot read it by a name that was made to mean this machine."""
    async with shown_pair(tmp_path) as pair:
        await pair.alpha.start()
        async with client_of(pair.alpha) as client:
            for path in ("/status.json", "/", "/health"):
                got = await client.get(path, headers={"host": host})
                assert got.status_code == status


async def test_what_has_happened_is_remembered_to_a_bound() -> None:
    node = FakeNode()
    told = Chronicle(cast(Shown, node), clock=lambda: 1000.0 + node.epoch)
    for epoch in range(MAX_STAGES + 9):
        node.epoch = epoch
        node.updates.last_update = LastUpdate(at=epoch, files=1, bytes=2, duration_s=0.5)
        told.look()
        told.look()
    assert [stage.epoch for stage in told.stages] == list(range(9, MAX_STAGES + 9))
    assert told.stages[0].at == 1009.0
    assert len(told.updates) == min(MAX_UPDATES, MAX_STAGES + 9)


class FakeNode:
    """What a chronicle looks at."""

    role = Role.PRIMARY

    def __init__(self) -> None:
        self.epoch = 0
        self.updates = FakeUpdates()

    @property
    def model(self) -> SimpleNamespace:
        return SimpleNamespace(durable=SimpleNamespace(epoch=Epoch(self.epoch, 0)))


class FakeUpdates:
    """The last one alone."""

    last_update: LastUpdate | None = None
