"""The control socket: who may give commands, and what becomes of them."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from sbs.core.guard import Cause, Held, Reason
from sbs.errors import NotRunningError, RefusedError, SbsError, StateError
from sbs.replication.leading.preview import Change, Preview, PreviewedChange
from sbs.runtime.operating import client, control
from sbs.runtime.operating.farewell import Farewell
from sbs.runtime.operating.operated import Operated
from sbs.runtime.operating.requests import (
    LASTING,
    MAX_CONNECTIONS,
    MAX_LASTING,
    MAX_REQUEST_BYTES,
    MAX_STRANGERS,
    Requests,
)
from sbs.runtime.operating.status import Status, Switchover
from sbs.runtime.updating.keeping import Restored, Standing
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.verifier import Verification
from sbs.testing.nodes import wait_until
from tests.support import require


class FakeNode:
    def __init__(self) -> None:
        self.stopped = trio.Event()
        self.farewell = Farewell()
        self.units: list[str] = []

    async def status(self) -> Status:
        raise SbsError("no status today")

    async def stop(self, *, force: bool = True) -> None:
        if not force:
            raise RefusedError("an update is held")
        self.stopped.set()

    async def switchover(self, *, dry_run: bool = False) -> Switchover:
        raise RefusedError("there is no secondary")

    async def takeover(self, *, force: bool) -> None:
        self.units.append(f"takeover {force}")

    async def pause(self) -> None:
        self.units.append("pause")

    async def resume(self) -> None:
        self.units.append("resume")

    async def sync(self, *, accepted: str = "", quick: bool = False) -> LastUpdate | None:
        await trio.lowlevel.checkpoint()
        if quick:
            self.units.append("quick")
        if accepted:
            raise RefusedError(f"{accepted} is not what is held")
        return LastUpdate(at=1.0, files=2, bytes=3, duration_s=4.0)

    async def verify(self, bytes_s: float = 0.0) -> Verification:
        self.units.append(f"verify {bytes_s}")
        return Verification(files=3)

    async def diff(self) -> Preview:
        await trio.lowlevel.checkpoint()
        reason = Reason("data", Cause.EMPTIED, "no file is left")
        return Preview(
            added=1,
            changed=0,
            unsure=0,
            deleted=0,
            bytes=3,
            held=Held(id="1234abcd", deletes=1, reasons=(reason,)),
            paths=(PreviewedChange(change=Change.ADD, folder="data", path="\udcff", bytes=3),),
        )

    async def start_unit(self, name: str, *, again: bool = False) -> None:
        self.units.append(f"{'-' if again else ''}+{name}")

    async def stop_unit(self, name: str) -> str:
        self.units.append(f"-{name}")
        return "no licence"


class FakeVersions:
    def look(self) -> Standing:
        return Standing(name="alpha", folders={"data": "/srv/data"}, newest=7, refusal="")

    async def restore(self, folder: str, path: str, generation: int) -> Restored:
        if folder != "data":
            raise RefusedError(f"no {folder}")
        return Restored.EDITED if (path, generation) == ("file", 5) else Restored.NOTHING


@asynccontextmanager
async def controlled(
    state_dir: Path, node: FakeNode | None = None
) -> AsyncGenerator[FakeNode, None]:
    node = node or FakeNode()
    operated: Operated = node
    requests = Requests(operated, str(state_dir), FakeVersions(), node.farewell)
    async with trio.open_nursery() as nursery, requests:
        nursery.start_soon(requests.serve_forever)
        yield node
        nursery.cancel_scope.cancel()
    assert client.SOCKET_NAME not in os.listdir(state_dir)


async def test_commands_reach_the_node(tmp_path: Path) -> None:
    async with controlled(tmp_path) as node:
        state_dir = str(tmp_path)
        assert await control.ask(state_dir, "sync") == {
            "at": 1.0,
            "files": 2,
            "bytes": 3,
            "duration_s": 4.0,
        }
        assert node.units == []
        await control.ask(state_dir, "sync", quick=True)
        assert node.units.pop() == "quick"
        with pytest.raises(RefusedError, match="1234 is not what is held"):
            await control.ask(state_dir, "sync", accept="1234")
        found = await control.ask(state_dir, "verify", bytes_s=7)
        assert (found["files"], found["paths"], node.units.pop()) == (3, [], "verify 7")
        with pytest.raises(SbsError, match="a number from 0"):
            await control.ask(state_dir, "verify", bytes_s="fast")
        assert await control.ask(state_dir, "diff") == {
            "added": 1,
            "changed": 0,
            "unsure": 0,
            "deleted": 0,
            "bytes": 3,
            "held": {
                "id": "1234abcd",
                "deletes": 1,
                "reasons": [{"folder": "data", "cause": "emptied", "text": "no file is left"}],
            },
            "paths": [{"change": "add", "folder": "data", "path": "\udcff", "bytes": 3}],
        }
        with pytest.raises(RefusedError, match="no secondary"):
            await control.ask(state_dir, "switchover")
        with pytest.raises(SbsError, match="no status today"):
            await control.ask(state_dir, "status")
        with pytest.raises(SbsError, match="unknown command 'dance'; this node knows status"):
            await control.ask(state_dir, "dance")
        assert await control.ask(state_dir, "unit-start", name="a") is None
        await control.ask(state_dir, "unit-start", name="a", again=True)
        assert await control.ask(state_dir, "unit-stop", name="a") == "no licence"
        await control.ask(state_dir, "takeover")
        await control.ask(state_dir, "takeover", force=True)
        await control.ask(state_dir, "pause")
        await control.ask(state_dir, "resume")
        units = ["+a", "-+a", "-a"]
        assert node.units == [*units, "takeover False", "takeover True", "pause", "resume"]
        held = Standing.from_json(await control.ask(state_dir, "folders"))
        assert held == FakeVersions().look()
        wanted: dict[str, Any] = {"folder": "data", "path": "file", "generation": 5}
        assert await control.ask(state_dir, "restore", **wanted) == Restored.EDITED
        with pytest.raises(RefusedError, match="no other"):
            await control.ask(state_dir, "restore", **wanted | {"folder": "other"})
        with pytest.raises(SbsError, match="generation True: allowed is an integer"):
            await control.ask(state_dir, "restore", **wanted | {"generation": True})


async def test_socket_is_for_the_nodes_account_alone(tmp_path: Path) -> None:
    async with controlled(tmp_path):
        assert os.stat(tmp_path / client.SOCKET_NAME).st_mode & 0o077 == 0


STRANGER = 12345
"""An account that is neither the node's nor root."""

ASK_AS_STRANGER = """
import os, sys
from sbs.errors import SbsError
from sbs.runtime.operating import client
os.chdir(sys.argv[1])
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
try:
    client.ask(".", "unit-stop", name="a")
except SbsError as error:
    print(type(error).__name__, error)
"""


async def ask_as_stranger(state_dir: Path) -> str:
    words = (sys.executable, "-c", ASK_AS_STRANGER, str(state_dir), str(STRANGER))
    return (await trio.run_process([*words], capture_stdout=True)).stdout.decode()


async def test_another_account_is_refused_even_where_the_mode_lets_it_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """B62"""
    require(root=True)
    os.chmod(tmp_path, 0o711)
    async with controlled(tmp_path) as node:
        assert "not permitted; run this as the node's account" in await ask_as_stranger(tmp_path)
        os.chmod(tmp_path / client.SOCKET_NAME, 0o666)
        for _ in range(2):
            assert await ask_as_stranger(tmp_path) == (
                "RefusedError the account 12345 may not give commands to this node: only its own, "
                "0, and root may\n"
            )
        assert caplog.text.count("the account 12345 is refused") == 1
        assert node.units == []


@pytest.mark.parametrize(
    ("account", "served"), [(990, True), (0, True), (None, True), (991, False), (65534, False)]
)
async def test_commands_come_from_the_nodes_account_and_from_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, account: int | None, served: bool
) -> None:
    """B62; ``None`` is a system that does not say who connects."""
    monkeypatch.setattr(os, "geteuid", lambda: 990)
    monkeypatch.setattr(control, "account_of", lambda stream: account)
    async with controlled(tmp_path) as node:
        with nullcontext() if served else pytest.raises(RefusedError, match="only its own, 990"):
            await control.ask(str(tmp_path), "pause")
        assert node.units == (["pause"] if served else [])


async def test_strangers_do_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = iter(range(1000, 1000 + 2 * MAX_STRANGERS))
    monkeypatch.setattr(control, "account_of", lambda stream: next(accounts))
    async with controlled(tmp_path):
        for _ in range(2 * MAX_STRANGERS):
            with pytest.raises(RefusedError):
                await control.ask(str(tmp_path), "pause")
    assert caplog.text.count("is refused") == MAX_STRANGERS


async def test_connections_that_say_nothing_do_not_pile_up(tmp_path: Path) -> None:
    """B62: who comes then is told at once, and is served as soon as one has gone."""
    silent: list[trio.SocketStream] = []
    async with controlled(tmp_path) as node:
        while len(silent) < MAX_CONNECTIONS:
            silent += [await trio.open_unix_socket(str(tmp_path / client.SOCKET_NAME))]
        for _ in range(3):
            with pytest.raises(RefusedError, match="64 requests are under way, no more are taken"):
                await control.ask(str(tmp_path), "pause")
        await silent.pop().aclose()
        with trio.fail_after(5):
            while not node.units:
                with suppress(RefusedError):
                    await control.ask(str(tmp_path), "pause")
        for stream in silent:
            await stream.aclose()


async def test_who_is_refused_and_has_gone_ends_nobody_but_itself(tmp_path: Path) -> None:
    """B62: a script that is killed while the node has as many requests as it takes."""
    place = str(tmp_path / client.SOCKET_NAME)
    silent: list[trio.SocketStream] = []
    async with controlled(tmp_path) as node:
        while len(silent) < MAX_CONNECTIONS:
            silent += [await trio.open_unix_socket(place)]
        gone = await trio.open_unix_socket(place)
        gone.socket.close()
        await trio.testing.wait_all_tasks_blocked()
        for stream in silent:
            await stream.aclose()
        with trio.fail_after(5):
            while not node.units:
                with suppress(RefusedError):
                    await control.ask(str(tmp_path), "pause")


class Hanging(FakeNode):
    """Its disk does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = trio.Event()

    async def sync(self, *, accepted: str = "", quick: bool = False) -> LastUpdate | None:
        self.units.append("sync")
        await self.answers.wait()
        return None


async def test_updates_that_hang_do_not_shut_the_administrator_out(tmp_path: Path) -> None:
    """B62: a script that asks for one every minute, while a disk hangs."""
    state_dir, node = str(tmp_path), Hanging()
    async with controlled(tmp_path, node), trio.open_nursery() as nursery:
        for _ in range(MAX_LASTING):
            nursery.start_soon(partial(control.ask, state_dir, "sync", timeout_s=math.inf))
        await wait_until(lambda: len(node.units) == MAX_LASTING, "all have been taken")
        for command in LASTING:
            why = r"16 commands \(diff, restore, sync, verify\) are under way"
            with pytest.raises(RefusedError, match=why):
                await control.ask(state_dir, command)
        await control.ask(state_dir, "resume")
        assert node.units[MAX_LASTING:] == ["resume"]
        node.answers.set()
    async with controlled(tmp_path, node):
        assert await control.ask(state_dir, "sync") is None


class Talkative(FakeNode):
    """Its answers are longer than what a socket takes before somebody reads."""

    async def stop_unit(self, name: str) -> str:
        return "x" * 3_000_000


async def test_an_answer_that_nobody_reads_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """B62"""
    monkeypatch.setattr("sbs.runtime.operating.requests.WRITE_TIMEOUT_S", 0.05)
    async with controlled(tmp_path, Talkative()):
        stream = await trio.open_unix_socket(str(tmp_path / client.SOCKET_NAME))
        async with stream:
            await stream.send_all(b'{"command": "unit-stop", "name": "a"}\n')
            await wait_until(lambda: "dropped: TooSlowError" in caplog.text, "it is given up")
            length = 0
            while data := await stream.receive_some():
                length += len(data)
            assert 0 < length < 3_000_000
        monkeypatch.undo()  # a busy machine needs longer to read it
        assert len(await control.ask(str(tmp_path), "unit-stop", name="a")) == 3_000_000


async def test_end_of_the_node_is_the_answer_to_stop(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        ended: list[str] = []

        async def ask() -> None:
            with pytest.raises(NotRunningError, match="ended before it answered"):
                await control.ask(str(tmp_path), "stop", force=True)
            ended.append("yes")

        async with controlled(tmp_path) as node:
            nursery.start_soon(ask)
            await node.stopped.wait()
            await trio.sleep(0.01)
            assert ended == []
    assert ended == ["yes"]


async def test_who_asked_for_the_end_is_told_of_it_before_the_node_has_ended(
    tmp_path: Path,
) -> None:
    """R8: a refused request owes nothing to anybody."""
    answers: list[object] = []

    async def ask() -> None:
        answers.append(await control.ask(str(tmp_path), "stop", force=True))

    async with trio.open_nursery() as nursery, controlled(tmp_path) as node:
        with pytest.raises(RefusedError, match="an update is held"):
            await control.ask(str(tmp_path), "stop")
        nursery.start_soon(ask)
        nursery.start_soon(ask)
        await node.stopped.wait()
        await wait_until(lambda: node.farewell.expected == 2, "both have asked")
        node.farewell.kept = "nobody is there"
        node.farewell.end()
        await node.farewell.run()
        await wait_until(lambda: len(answers) == 2, "both are told")
    assert answers == [{"not_handed_over": "nobody is there"}] * 2


async def test_long_socket_path(tmp_path: Path) -> None:
    """A Unix socket's path holds 107 bytes; a state directory's holds more."""
    long = tmp_path.joinpath(*["d" * 60] * 5)
    long.mkdir(parents=True)
    assert len(str(long)) > client.MAX_SOCKET_PATH
    async with controlled(long):
        assert (await control.ask(str(long), "sync"))["files"] == 2


async def test_socket_of_a_killed_node_is_replaced(tmp_path: Path) -> None:
    (tmp_path / client.SOCKET_NAME).write_text("")
    async with controlled(tmp_path):
        assert (await control.ask(str(tmp_path), "sync"))["files"] == 2


async def test_no_node(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="no node is running"):
        await control.ask(str(tmp_path), "status")
    with pytest.raises(NotRunningError, match="no node is running"):
        await control.ask(str(tmp_path / "missing"), "status")
    listener = await control.bind(str(tmp_path))
    await listener.aclose()
    with pytest.raises(NotRunningError, match="no node is running"):
        await control.ask(str(tmp_path), "status")


async def test_node_that_does_not_answer(tmp_path: Path) -> None:
    listener = await control.bind(str(tmp_path))
    with pytest.raises(NotRunningError, match=r"did not answer in 0\.1 s"):
        await control.ask(str(tmp_path), "status", timeout_s=0.1)
    await listener.aclose()


async def test_socket_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / client.SOCKET_NAME).mkdir()
    with pytest.raises(StateError, match="control socket"):
        await control.bind(str(tmp_path))
    with pytest.raises(StateError, match="control socket"):
        await control.bind(str(tmp_path / "missing"))


async def test_cancelled_bind_leaves_no_socket(tmp_path: Path) -> None:
    opened = os.listdir("/proc/self/fd")
    with trio.CancelScope() as scope:
        scope.cancel()
        await control.bind(str(tmp_path))
    assert scope.cancelled_caught
    assert os.listdir("/proc/self/fd") == opened
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\n",
        b"{\n",
        b"[]\n",
        b"5\n",
        b"[" * 100_000 + b"\n",
        b"{}",
        b"",
        b'{"command": {"a": 1}}\n',
        b'{"command": "unit-start"}\n',
        b"x" * (MAX_REQUEST_BYTES + 70_000),
    ],
)
async def test_garbage_on_the_control_socket_harms_nobody(data: bytes, tmp_path: Path) -> None:
    async with controlled(tmp_path) as node:
        stream = await trio.open_unix_socket(str(tmp_path / client.SOCKET_NAME))
        async with stream:
            with trio.move_on_after(5) as bound:
                try:
                    await stream.send_all(data)
                    await stream.send_eof()
                    answer = await control.read_line(stream)
                except trio.BrokenResourceError:
                    answer = None
            assert not bound.cancelled_caught
        if answer is not None and not answer["ok"]:
            assert answer["error"].startswith(("unknown command", "name None: allowed is a text"))
        assert (await control.ask(str(tmp_path), "sync"))["files"] == 2
        assert node.units == []


async def test_request_that_does_not_arrive_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbs.runtime.operating.requests.READ_TIMEOUT_S", 0.05)
    async with controlled(tmp_path):
        stream = await trio.open_unix_socket(str(tmp_path / client.SOCKET_NAME))
        async with stream:
            await stream.send_all(b'{"command"')
            assert await stream.receive_some() == b""


async def test_line_is_written_and_read_whole() -> None:
    left, right = trio.testing.memory_stream_pair()
    value: Mapping[str, Any] = {"text": "\n\u00e4", "list": [1, None]}
    await control.write_line(left, value)
    assert await control.read_line(right) == json.loads(json.dumps(value))
