"""A node as a process would run it: signals, commands, and errors without groups."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs
import pytest
import trio

from sbs.config import Config, HookSettings, NodeSettings
from sbs.core.address import Address
from sbs.core.claim import Role
from sbs.errors import NotRunningError, RefusedError, StateError, TransportError
from sbs.runtime.lasting.state import StateStore
from sbs.runtime.operating import client, control
from sbs.runtime.running import run_node
from sbs.testing.nodes import memory_pair, wait_until
from tests.runtime.rig import recorded_pair


def alone(directory: Path) -> Config:
    """A node whose peer does not run; it serves any free port of the loopback interface."""
    node = NodeSettings(
        name="alone",
        listen=Address("127.0.0.1", 0),
        peer=Address("127.0.0.1", 1),
        state_dir=str(directory / "state"),
    )
    return Config(node=node)


@asynccontextmanager
async def running(config: Config) -> AsyncGenerator[trio.Event, None]:
    """A node that is primary; the event is set when it has ended."""
    ended = trio.Event()

    async def run() -> None:
        await run_node(config)
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(20):
            await wait_primary(config)
            yield ended


async def wait_primary(config: Config) -> None:
    role = ""
    while role != "primary":
        await trio.sleep(0.005)
        with suppress(NotRunningError):
            role = (await control.ask(config.node.state_dir, "status"))["role"]


def check_free(config: Config) -> None:
    StateStore(config.node.state_dir).close()
    assert client.SOCKET_NAME not in os.listdir(config.node.state_dir)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_the_node_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """R8."""
    config = alone(tmp_path)
    async with running(config) as ended:
        signal.raise_signal(number)
        await ended.wait()
    check_free(config)


async def test_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    marker = tmp_path / "stopping"
    hook = ("sh", "-c", f"test $SBS_ROLE != stopped || {{ touch {marker}; exec sleep 1000; }}")
    config = attrs.evolve(alone(tmp_path), hooks=HookSettings(transition=(hook,)))
    async with running(config) as ended:
        signal.raise_signal(signal.SIGTERM)
        await wait_until(marker.exists, "the hook of the stop runs")
        assert not ended.is_set()
        signal.raise_signal(signal.SIGTERM)
        await ended.wait()
    check_free(config)


async def test_command_ends_the_node_and_waits_for_it(tmp_path: Path) -> None:
    """R8."""
    config = alone(tmp_path)
    async with running(config) as ended:
        await trio.to_thread.run_sync(client.stop, config.node.state_dir)
        check_free(config)
        await ended.wait()
    with pytest.raises(NotRunningError):
        await trio.to_thread.run_sync(client.stop, config.node.state_dir)


async def test_state_in_use_is_an_error_without_a_group(tmp_path: Path) -> None:
    config = alone(tmp_path)
    store = StateStore(config.node.state_dir)
    with pytest.raises(StateError, match="another node runs"):
        await run_node(config)
    store.close()


async def test_port_in_use_is_an_error_without_a_group(tmp_path: Path) -> None:
    config = alone(tmp_path)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        listen = Address("127.0.0.1", sock.getsockname()[1])
        config = attrs.evolve(config, node=attrs.evolve(config.node, listen=listen))
        with pytest.raises(TransportError, match="cannot listen"):
            await run_node(config)
    check_free(config)


async def test_control_socket_that_cannot_be_made_is_an_error_without_a_group(
    tmp_path: Path,
) -> None:
    config = alone(tmp_path)
    (tmp_path / "state" / client.SOCKET_NAME).mkdir(parents=True)
    with pytest.raises(StateError, match="control socket"):
        await run_node(config)


async def test_a_stop_ends_the_node_although_its_state_cannot_be_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """B20: what is not durable is not claimed; the alarm says why, and nothing is left behind."""
    config = alone(tmp_path)
    ended: list[None] = []

    async def run() -> None:
        await run_node(config)
        ended.append(None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await wait_primary(config)
        os.mkdir(tmp_path / "state" / "node.json.new")
        signal.raise_signal(signal.SIGTERM)  # the stop gives the primacy back, durably
    assert ended == [None]
    assert "alarm state-failed: " in caplog.text
    check_free(config)


async def test_switchover_of_a_node_that_has_ended_is_refused(tmp_path: Path) -> None:
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        await pair.alpha.stop()
        with trio.fail_after(5), pytest.raises(RefusedError, match="alpha has ended"):
            await pair.alpha.node.switchover()


async def test_switchover_that_the_end_of_the_node_overtakes_is_refused(tmp_path: Path) -> None:
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        errors: list[str] = []

        async def ask() -> None:
            with pytest.raises(RefusedError) as caught:
                await pair.alpha.node.switchover()
            errors.append(str(caught.value))

        pair.cut()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(pair.alpha.kill)
        assert errors == ["alpha has ended: start it again with sbs run"]


async def test_role_changes_can_be_awaited(tmp_path: Path) -> None:
    async with memory_pair(tmp_path) as pair:
        seen: list[Role] = []
        await pair.alpha.start()
        node = pair.alpha.node

        async def watch() -> None:
            role = node.role
            while role is not Role.STOPPED or len(seen) < 2:
                role = await node.wait_role_change(role)
                seen.append(role)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await pair.alpha.wait_role(Role.PRIMARY)
            await pair.alpha.kill()
        assert seen[-2:] == [Role.PRIMARY, Role.STOPPED]
        assert node.role is Role.STOPPED
