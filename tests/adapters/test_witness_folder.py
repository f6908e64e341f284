"""The lease file, on a local directory: what SMB and NFS add is in docs/roles.md."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from sbs.adapters.witnesses.folder import MAX_CALLS, MAX_RECORD_BYTES, open_witness
from sbs.errors import WitnessError
from sbs.ports import WitnessOptions
from sbs.testing.witnesses import TTL_S, check_witness
from tests.support import wait_until

ROOT = Path(__file__).parents[2]

RACER = """
import sys, time, trio
from sbs.adapters.witnesses.folder import open_witness
from sbs.ports import WitnessOptions

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


@pytest.mark.parametrize(
    "damage",
    [b"", b"   ", b"x", b'{"sbs": 1}', b"[]", b"\0" * MAX_RECORD_BYTES, b"{" * 10_000],
)
async def test_a_damaged_record_is_waited_out(tmp_path: Path, damage: bytes) -> None:
    """B3: a crash in the middle of a write neither frees the vote at once, nor keeps it."""
    async with open_witness(options(tmp_path)) as witness:
        assert (await witness.acquire("a.1", TTL_S)).granted
        (tmp_path / "sbs-pair.lease").write_bytes(damage)
        began_at = trio.current_time()
        with trio.fail_after(10):
            while not (await witness.acquire("b.1", 0.2)).granted:  # noqa: ASYNC110 - likewise
                await trio.sleep(0.02)
        assert not damage.strip() or trio.current_time() - began_at >= 0.2
        assert (await witness.acquire("b.1", 0.2)).granted


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
        monkeypatch.setattr("sbs.adapters.witnesses.folder.os.open", hang)
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
