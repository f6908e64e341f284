"""Which roles a node has had, over restarts (B61)."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from sbs.cli import main
from sbs.core.claim import Role
from sbs.core.effects import TellRole
from sbs.core.epoch import Epoch
from sbs.errors import StateError
from sbs.runtime.lasting import role_history
from sbs.runtime.lasting.records import sealed
from sbs.runtime.lasting.role_history import MAX_CHANGES, MAX_REASON, RoleHistory, read_role_history
from sbs.testing.nodes import MemoryPair, wait_until
from tests.runtime.rig import recorded_pair


async def write(history: RoleHistory, *changes: TellRole) -> None:
    for change in changes:
        history.tell(change)
    history.end()
    await history.run()


def change(number: int) -> TellRole:
    return TellRole(Role.PRIMARY, Epoch(number, 0), f"reason {number}")


async def test_what_was_told_is_there_after_a_restart(tmp_path: Path) -> None:
    await write(RoleHistory(str(tmp_path), lambda: 5.0), change(1))
    second = RoleHistory(str(tmp_path), lambda: 6.0)
    await write(second, change(2))
    found = read_role_history(str(tmp_path))
    assert found == second.changes
    assert [(each.at, each.role, each.epoch, each.reason) for each in found] == [
        (5.0, "primary", 1, "reason 1"),
        (6.0, "primary", 2, "reason 2"),
    ]


async def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    history = RoleHistory(str(tmp_path))
    long = TellRole(Role.WAITING, Epoch(1, 0), "\0" * MAX_REASON * 2)
    await write(history, *[change(number) for number in range(MAX_CHANGES)], long)
    assert len(history.changes) == MAX_CHANGES
    assert history.changes[0].epoch == 1
    assert len(history.changes[-1].reason) == MAX_REASON
    assert read_role_history(str(tmp_path)) == history.changes


async def test_the_longest_file_can_be_read(tmp_path: Path) -> None:
    """Its limit is above what can be written."""
    worst = TellRole(Role.WAITING, Epoch(2**62 - 1, 1), "\U0001f600" * MAX_REASON)
    await write(RoleHistory(str(tmp_path)), *[worst] * MAX_CHANGES)
    size_bytes = (tmp_path / role_history.FILE).stat().st_size
    assert size_bytes < role_history.MAX_FILE_BYTES
    assert len(read_role_history(str(tmp_path))) == MAX_CHANGES


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"version": 2}', b'{"version": 1, "sha256": "", "body": "[]"}', b"\xff"],
)
async def test_a_file_that_makes_no_sense_is_set_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / role_history.FILE
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"roles\.json"):
        read_role_history(str(tmp_path))
    history = RoleHistory(str(tmp_path))
    assert history.changes == ()
    assert (tmp_path / f"{path.name}.damaged").read_bytes() == content
    await write(history, change(1))
    assert len(read_role_history(str(tmp_path))) == 1


@pytest.mark.parametrize("at", ["NaN", "Infinity", "1e300", "-1.0"])
async def test_a_time_that_no_calendar_has_is_damage(tmp_path: Path, at: str) -> None:
    """``sbs roles`` ended with a traceback."""
    path = tmp_path / role_history.FILE
    await write(RoleHistory(str(tmp_path), lambda: 5.0), change(1))
    document = json.loads(path.read_bytes())
    body = document["body"].replace("5.0", at)
    path.write_bytes(sealed(json.loads(body), role_history.VERSION))
    with pytest.raises(StateError, match=r"roles\.json is damaged"):
        read_role_history(str(tmp_path))
    assert RoleHistory(str(tmp_path)).changes == ()


async def test_a_disk_that_takes_nothing_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Told once; with the next change it is written after all."""

    def refuse(path: str, data: bytes) -> None:
        raise OSError(28, os.strerror(28))

    history = RoleHistory(str(tmp_path))
    async with trio.open_nursery() as nursery:
        with monkeypatch.context() as patch:
            patch.setattr(role_history, "write_durably", refuse)
            nursery.start_soon(history.run)
            for number in range(3):
                history.tell(change(number))
                await trio.testing.wait_all_tasks_blocked(0.05)
        assert [record.getMessage() for record in caplog.records] == [
            f"{tmp_path}/roles.json cannot be written: No space left on device"
        ]
        history.end()
    assert len(read_role_history(str(tmp_path))) == 3


async def test_a_takeover_is_remembered_with_its_reason(tmp_path: Path) -> None:
    """B61: on a real pair, whose primary is killed, and comes back as secondary."""
    async with recorded_pair(tmp_path) as (pair, _):
        await take_over(pair)
        beta = pair.beta.config.node.state_dir
        await wait_until(lambda: read_role_history(beta)[-1].role == "primary", "it is written")
        last = read_role_history(beta)[-1]
        assert "refuses the connection" in last.reason
        status = await pair.beta.node.status()
        assert status.last_change == last
        await pair.alpha.start()
        await pair.alpha.wait_role(Role.SECONDARY)
        await pair.alpha.stop()
        state_dir = pair.alpha.config.node.state_dir
    found = read_role_history(state_dir)
    assert [each.role for each in found] == [
        *("probing", "primary"),  # and killed: no line of its end
        *("probing", "secondary", "stopped"),
    ]
    assert [each.reason for each in found if each.role == "probing"] == [
        "started; looking for the peer"
    ] * 2
    config = tmp_path / "alpha.toml"
    config.write_text(
        f'[node]\nname = "alpha"\npeer = "127.0.0.1:4446"\nstate_dir = "{state_dir}"\n'
    )
    result = CliRunner().invoke(main, ["roles", "-c", str(config)])
    assert [line.split()[3] for line in result.stdout.splitlines()] == [each.role for each in found]
    result = CliRunner().invoke(main, ["roles", "--json", "-c", str(config)])
    shown = json.loads(result.stdout)
    assert shown["schema"] == 1
    assert [each["reason"] for each in shown["roles"]] == [each.reason for each in found]


async def take_over(pair: MemoryPair) -> None:
    await pair.start()
    await pair.wait_in_step(pair.alpha)
    await pair.alpha.kill()
    await pair.beta.wait_role(Role.PRIMARY)


async def test_a_node_that_ended_without_a_word_is_not_taken_for_a_running_one(
    tmp_path: Path,
) -> None:
    """After a crash both nodes' lists end with ``primary``; one of them says that it is over."""
    await write(RoleHistory(str(tmp_path)), change(3))
    config = tmp_path / "alpha.toml"
    config.write_text('[node]\nname = "alpha"\npeer = "127.0.0.1:4446"\nstate_dir = "."\n')

    def last_line() -> str:
        return CliRunner().invoke(main, ["roles", "-c", str(config)]).stdout.splitlines()[-1]

    over = "it ended without a word: a crash or a power cut; it does not run now"
    assert last_line() == over
    with socket.socket(socket.AF_UNIX) as sock:  # a node that is busy
        sock.bind(str(tmp_path / "control.sock"))
        sock.listen()
        with sock.dup() as busy:
            thread = threading.Thread(target=answer_nonsense, args=[busy], daemon=True)
            thread.start()
            assert last_line().endswith("reason 3")
            thread.join()
    await write(RoleHistory(str(tmp_path)), TellRole(Role.STOPPED, Epoch(3, 0), "as asked"))
    assert last_line().endswith("as asked")


def answer_nonsense(listener: socket.socket) -> None:
    caller, _ = listener.accept()
    with caller:
        caller.sendall(b"?\n")


def test_of_a_node_that_never_ran_there_is_nothing(tmp_path: Path) -> None:
    config = tmp_path / "alpha.toml"
    config.write_text('[node]\nname = "alpha"\npeer = "127.0.0.1:4446"\nstate_dir = "none"\n')
    result = CliRunner().invoke(main, ["roles", "-c", str(config)])
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no role yet: the node has not run\n"
