"""The lease file, on a local directory: what SMB and NFS add is in docs/roles.md."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import trio

from sbs.adapters.witnesses import leasefile
from sbs.adapters.witnesses.folder import MAX_CALLS, open_witness
from sbs.adapters.witnesses.leasefile import HELD_BOUND_S, MAX_FILE_BYTES
from sbs.errors import ConfigError, WitnessError
from sbs.ports import Witness, WitnessOptions
from sbs.testing.witnesses import TTL_S, check_witness
from tests.support import wait_until

ROOT = Path(__file__).parents[2]

RACER = """
import sys, time, trio
from sbs.adapters.witnesses.folder import open_witness
from sbs.ports import Witness, WitnessOptions

async def main(path, name):
    log = open(f"{path}/{name}.log", "a", buffering=1)
    async with open_witness(WitnessOptions(pair="race", path=path)) as witness:
        for number in range(200):
            holder = f"{name}.{number}"
            if (await witness.acquire(holder, 60.0)).granted:
                began = time.monotonic_ns()
                await trio.sleep(0.001)
                print(began, time.monotonic_ns(), file=log)
                await witness.release(holder)

trio.run(main, *sys.argv[1:])
"""


def options(path: Path, pair: str = "pair") -> WitnessOptions:
    return WitnessOptions(pair=pair, path=os.fspath(path))


SHORT_TTL_S = 0.2


async def seconds_until_granted(witness: Witness, holder: str) -> float:
    began_at = trio.current_time()
    with trio.fail_after(10):
        while not (await witness.acquire(holder, SHORT_TTL_S)).granted:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.02)
    return trio.current_time() - began_at


async def test_the_folder_keeps_the_promises_of_a_witness(tmp_path: Path) -> None:
    """B3"""
    await check_witness(open_witness, options(tmp_path))


def test_two_processes_never_hold_the_vote_together(tmp_path: Path) -> None:
    """B3"""
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), name], cwd=ROOT)
        for name in ("a", "b")
    ]
    assert [racer.wait(60) for racer in racers] == [0, 0]
    spans = sorted(
        tuple(map(int, line.split()))
        for name in ("a", "b")
        for line in (tmp_path / f"{name}.log").read_text().splitlines()
    )
    assert len(spans) > 100
    assert all(one[1] < other[0] for one, other in itertools.pairwise(spans))


async def test_a_frozen_holder_keeps_the_vote_for_its_time_only(tmp_path: Path) -> None:
    """B3: it may be frozen in any place but within the lock."""
    async with open_witness(options(tmp_path)) as one, open_witness(options(tmp_path)) as other:
        assert (await one.acquire("a.1", 1.0)).granted
        began_at = trio.current_time()
        while not (await other.acquire("b.1", 0.1)).granted:  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.02)
        assert trio.current_time() - began_at >= 1.0, "the holder's time to live counts"
        assert not (await one.acquire("a.1", 1.0)).granted


def checked(body: str) -> bytes:
    digest = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({"sbs": 1, "record": body, "sha256": digest}).encode()


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"   ",
        b"x",
        b'{"sbs": 1}',
        b"[]",
        b"\0" * MAX_FILE_BYTES,
        b"{" * 10_000,
        b"[" * MAX_FILE_BYTES,
        checked('["a.1", Infinity, 1.0]'),
        checked('["a.1", 1, NaN]'),
        checked('["a.1", 1]'),
        checked("7"),
    ],
)
async def test_a_damaged_record_is_waited_out(tmp_path: Path, damage: bytes) -> None:
    """B3: a crash in the middle of a write neither frees the vote at once, nor keeps it."""
    async with open_witness(options(tmp_path)) as witness:
        assert (await witness.acquire("a.1", TTL_S)).granted
        (tmp_path / "sbs-pair.lease").write_bytes(damage)
        lasted_s = await seconds_until_granted(witness, "b.1")
        assert lasted_s >= SHORT_TTL_S
        assert (await witness.acquire("b.1", SHORT_TTL_S)).granted


async def test_a_file_that_a_crash_left_empty_is_waited_out_after_a_restart(tmp_path: Path) -> None:
    """B3: only who makes the file knows that nobody had the vote."""
    (tmp_path / "sbs-pair.lease").touch()
    async with open_witness(options(tmp_path)) as witness:
        assert await seconds_until_granted(witness, "a.1") >= SHORT_TTL_S


async def test_a_file_that_vanishes_does_not_free_the_vote(tmp_path: Path) -> None:
    """B3: somebody may have it who has not noticed yet."""
    async with open_witness(options(tmp_path)) as witness:
        assert (await witness.acquire("a.1", TTL_S)).granted
        (tmp_path / "sbs-pair.lease").unlink()
        assert await seconds_until_granted(witness, "b.1") >= SHORT_TTL_S


async def test_a_record_that_is_lost_and_made_anew_is_another_one(tmp_path: Path) -> None:
    """B3: whoever watches must see that there was life."""
    path = tmp_path / "sbs-pair.lease"
    seen = set()
    for _ in range(3):
        async with open_witness(options(tmp_path)) as witness:
            assert (await witness.acquire("a.1", TTL_S)).granted
        seen.add(path.read_bytes())
        path.unlink()
    assert len(seen) == 3


async def test_a_write_that_may_have_outlived_its_lock_counts_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B3: a file server takes the lock from a client that hangs; the data may arrive later."""
    late_s = 0.0
    clock, sync = leasefile.now, os.fsync

    def slow_sync(fd: int) -> None:
        nonlocal late_s
        late_s += HELD_BOUND_S
        sync(fd)

    monkeypatch.setattr(leasefile, "now", lambda: clock() + late_s)
    async with open_witness(options(tmp_path)) as one, open_witness(options(tmp_path)) as other:
        monkeypatch.setattr("sbs.adapters.witnesses.leasefile.os.fsync", slow_sync)
        with pytest.raises(WitnessError, match="may have given the lock to another"):
            await one.acquire("a.1", SHORT_TTL_S)
        monkeypatch.setattr("sbs.adapters.witnesses.leasefile.os.fsync", sync)
        assert not (await one.acquire("a.1", SHORT_TTL_S)).granted, "its own name proves nothing"
        await one.release("a.1")
        assert (await other.acquire("b.1", SHORT_TTL_S)).holder == "a.1", "nor can it be given back"
        assert await seconds_until_granted(one, "a.1") >= SHORT_TTL_S / 2
        assert (await one.acquire("a.1", SHORT_TTL_S)).granted


async def test_a_call_that_was_given_up_changes_nothing_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B3: the vote that it would take might have been given back since."""
    opening, go_on = os.open, threading.Event()

    def hang(path: str, flags: int, mode: int = 0o777) -> int:
        go_on.wait(30)
        return opening(path, flags, mode)

    async with open_witness(options(tmp_path)) as one, open_witness(options(tmp_path)) as other:
        assert (await one.acquire("x.1", TTL_S)).granted
        await one.release("x.1")
        before = (tmp_path / "sbs-pair.lease").read_bytes()
        monkeypatch.setattr("sbs.adapters.witnesses.leasefile.os.open", hang)
        with trio.move_on_after(0.05) as scope:
            await one.acquire("a.1", TTL_S)
        assert scope.cancelled_caught
        monkeypatch.undo()
        go_on.set()
        await one.release("a.1")  # it waits for the call before it
        assert (tmp_path / "sbs-pair.lease").read_bytes() == before
        assert (await other.acquire("b.1", TTL_S)).granted


async def test_a_mount_point_is_no_shared_folder() -> None:
    """B3: with nothing mounted on it, it would be an empty folder where the vote is free."""
    async with open_witness(options(Path("/proc"))) as witness:
        with pytest.raises(WitnessError, match=r"^/proc: is a mount point.* a folder on the share"):
            await witness.acquire("a.1", TTL_S)


async def test_a_folder_where_everybody_can_give_the_vote_away_is_refused(tmp_path: Path) -> None:
    """B62: a process of any account on either machine could make two primaries."""
    async with open_witness(options(tmp_path)) as witness:
        for mode in (0o777, 0o1777):
            os.chmod(tmp_path, mode)
            with pytest.raises(WitnessError, match=r"everybody can write .*run chmod o-w on it"):
                await witness.acquire("a.1", TTL_S)
        assert os.listdir(tmp_path) == []
        os.chmod(tmp_path, 0o775)
        assert (await witness.acquire("a.1", TTL_S)).granted
        assert stat.S_IMODE(os.stat(tmp_path / "sbs-pair.lease").st_mode) & stat.S_IRWXO == 0


async def test_a_system_without_such_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbs.adapters.witnesses.folder.sys.platform", "win32")
    opening = open_witness(options(tmp_path))
    with pytest.raises(ConfigError, match='"folder": needs Linux, not win32; use "etcd"'):
        await opening.__aenter__()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ESTALE, errno.EIO, errno.ENOLCK])
async def test_what_a_share_fails_with_is_told_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """B3: the file is opened anew for each call."""

    def fail(path: str, flags: int, mode: int = 0o777) -> int:
        raise OSError(number, os.strerror(number), path)

    async with open_witness(options(tmp_path)) as witness:
        monkeypatch.setattr("sbs.adapters.witnesses.leasefile.os.open", fail)
        with pytest.raises(WitnessError, match=rf"sbs-pair\.lease: {os.strerror(number)}"):
            await witness.acquire("a.1", TTL_S)
        monkeypatch.undo()
        assert (await witness.acquire("a.1", TTL_S)).granted


async def test_a_share_that_is_away_is_an_error_until_it_is_back(tmp_path: Path) -> None:
    """B3"""
    share, away = tmp_path / "share", tmp_path / "away"
    share.mkdir()
    async with open_witness(options(share)) as witness:
        assert (await witness.acquire("a.1", TTL_S)).granted
        share.rename(away)
        with pytest.raises(WitnessError, match=r"share/sbs-pair\.lease: No such file"):
            await witness.acquire("a.1", TTL_S)
        away.rename(share)
        assert (await witness.acquire("a.1", TTL_S)).granted


async def test_a_hanging_share_blocks_nobody_and_piles_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B3: the node goes on; the thread that hangs is not joined by a new one each time."""
    hanging, go_on = [], False

    def hang(path: str, flags: int, mode: int = 0o777) -> int:
        hanging.append(path)
        while not go_on:
            time.sleep(0.01)
        raise FileNotFoundError(2, "gone at last", path)

    async with open_witness(options(tmp_path)) as witness:
        monkeypatch.setattr("sbs.adapters.witnesses.leasefile.os.open", hang)
        for _ in range(MAX_CALLS):
            with trio.move_on_after(0.05) as scope:
                await witness.acquire("a.1", TTL_S)
            assert scope.cancelled_caught
        with pytest.raises(WitnessError, match="hangs since the last call"):
            await witness.acquire("a.1", TTL_S)
        assert len(hanging) == MAX_CALLS
        monkeypatch.undo()
        go_on = True
        with trio.fail_after(10):
            while True:
                try:
                    assert (await witness.acquire("a.1", TTL_S)).granted
                except WitnessError:
                    await trio.sleep(0.01)
                else:
                    return


async def test_a_lock_that_is_kept_is_an_error(tmp_path: Path) -> None:
    """B3: whoever keeps it hangs; the time to live runs on."""
    program = (
        "import fcntl, os, struct, sys, time\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "fcntl.fcntl(fd, 37, struct.pack('hhqqi', fcntl.F_WRLCK, 0, 0, 0, 0))\n"
        "open(sys.argv[1] + '.locked', 'w').close()\n"
        "time.sleep(60)\n"
    )
    async with open_witness(options(tmp_path)) as witness:
        assert (await witness.acquire("a.1", TTL_S)).granted
        path = tmp_path / "sbs-pair.lease"
        command = [sys.executable, "-c", program, str(path)]
        keeper = await trio.lowlevel.open_process(command)
        try:
            locked = path.with_suffix(".lease.locked")
            await trio.to_thread.run_sync(wait_until, locked.exists, "the file is locked")
            with pytest.raises(WitnessError, match="locked by another"):
                await witness.acquire("a.1", TTL_S)
        finally:
            keeper.kill()
            await keeper.wait()
        assert (await witness.acquire("a.1", TTL_S)).granted
