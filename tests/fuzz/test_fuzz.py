"""Every decoder against its kept corpus, and against two minutes of new inputs (B62)."""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import attrs
import pytest

from tests.fuzz import engine
from tests.fuzz.__main__ import told
from tests.fuzz.contract import MIB, Form, Target, unpacked_all
from tests.fuzz.engine import (
    CORPUS,
    FindingError,
    Recorder,
    corpus_of,
    from_paste,
    fuzz,
    judge,
    limited,
    minimized,
    to_paste,
    traced,
)
from tests.fuzz.mutate import Mutator
from tests.fuzz.targets import TABLE

FUZZ_S = float(os.environ.get("SBS_FUZZ_S", "100"))
"""All targets together; with what begins and ends them two minutes."""

SEED = int(os.environ.get("SBS_FUZZ_SEED", "1"))
"""The same one each time: a change is judged by what it does, and by no other input than before."""

MAX_CORPUS_BYTES = MIB
MAX_CORPUS_FILES = 600


@pytest.mark.parametrize("name", TABLE)
def test_the_corpus_is_decoded_or_refused(name: str) -> None:
    """Each input within its bounds of time and memory; something is taken of each target."""
    target = TABLE[name]
    with limited():
        words = [judge(target, data, measured=True) for data in corpus_of(target)]
    assert "" in words
    if target.allowed:
        assert any(words)


def test_the_corpus_is_small_and_has_no_strangers() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == {*TABLE}
    assert len(files) <= MAX_CORPUS_FILES
    assert sum(path.stat().st_size for path in files) <= MAX_CORPUS_BYTES


def test_new_inputs_break_no_decoder(tmp_path: Path) -> None:
    """What is found is in the output, whole, and so is the input that the process has died of."""
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz", "--found", os.fspath(tmp_path)]
    done = subprocess.run(
        [*command, "--seconds", f"{FUZZ_S:g}", "--seed", f"{SEED}"],
        cwd=CORPUS.parents[2],
        capture_output=True,
        text=True,
        timeout=2 * FUZZ_S + 10 * engine.HARD_S,
    )
    sys.stdout.write(done.stdout)
    ended = [
        f"--pasted {to_paste(Recorder.read(last))} {last.stem}" for last in tmp_path.glob("*.last")
    ]
    assert done.returncode == 0, "\n".join((done.stdout, done.stderr, *ended))
    assert done.stdout.count(" executions, ") == len(TABLE) + 1


# The runner notices what it is there for.


def dummy(target: str = "limit", **changed: object) -> Target:
    return attrs.evolve(TABLE[target], **changed)  # type: ignore[arg-type]


def test_an_error_that_is_not_allowed_is_a_finding() -> None:
    def run(data: bytes) -> bool:
        raise KeyError(data) if b"7" in data else ValueError

    assert judge(dummy(run=run), b"x").startswith("ValueError")
    with pytest.raises(FindingError, match="KeyError") as caught:
        judge(dummy(run=run), b"abc7xyz")
    assert caught.value.data == b"abc7xyz"
    assert minimized(b"abc7xyz", lambda data: b"7" in data) == b"7"


def test_work_without_end_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_data: bytes) -> bool:
        while True:
            try:
                time.sleep(0)
            except Exception:  # noqa: S112 - no decoder may hide it
                continue

    monkeypatch.setattr(engine, "CPU_S", 0.05)
    with pytest.raises(FindingError, match="HangError: over"), limited():
        judge(dummy(run=run), b"x")


def test_memory_beyond_the_bound_is_a_finding() -> None:
    def run(_data: bytes) -> bool:
        return bool(bytearray(2 * MIB))

    assert judge(dummy(run=run), b"x") == ""
    with pytest.raises(FindingError, match="bytes of memory, over"):
        judge(dummy(run=run), b"x", measured=True)
    with pytest.raises(FindingError, match="bytes of memory, over"):
        fuzz(dummy(run=run), 1, 60.0)
    assert not tracemalloc.is_tracing()


def test_memory_that_is_taken_once_is_no_finding() -> None:
    """What other inputs have left is still there; what an import takes is not taken again."""
    held: list[bytes] = []

    def run(_data: bytes) -> bool:
        held.append(bytes(MIB // 2 if held else 4 * MIB))
        return True

    with traced():
        for _ in range(10):
            assert judge(dummy(run=run), b"x", measured=True) == ""


@pytest.mark.parametrize("name", ["pair-partner", "index", "etcd"])
def test_memory_of_the_form_of_an_input_is_no_finding(name: str) -> None:
    """Nested arrays that announce thousands of items each: the target's own msgpack makes room."""
    target = TABLE[name]
    nested = (b"\xdc" + struct.pack(">H", 4000)) * (target.longest_bytes // 3 - 1)
    data = bytes(target.prefix_bytes) + nested
    assert judge(target, data, measured=True) == "no input"
    assert unpacked_all(nested)[0] == []


def test_a_finding_is_printed_whole(tmp_path: Path) -> None:
    """What can be pasted on another machine is the input, cut: no file, no seed, no hour of it."""

    def run(data: bytes) -> bool:
        assert len(data) < 1000
        return True

    data = random.Random(1).randbytes(3000)
    with pytest.raises(FindingError) as caught:
        judge(dummy(run=run), data)
    found = re.search(r"^--pasted (\S+) limit$", told(caught.value, tmp_path), re.MULTILINE)
    assert found is not None
    cut = from_paste(found[1])
    assert len(cut) == 1000
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [cut]
    command = [sys.executable, "-W", "error", "-m", "tests.fuzz", *found[0].split()]
    assert subprocess.check_output(command, cwd=CORPUS.parents[2]).startswith(b"limit: ValueError")


@pytest.mark.parametrize("name", ["message", "state", "config", "frames"])
def test_a_seed_makes_the_same_inputs(name: str) -> None:
    target = TABLE[name]
    pool = corpus_of(target)

    def some() -> list[bytes]:
        mutator = Mutator(target, random.Random(5))
        return [mutator.make(pool) for _ in range(200)]

    inputs = some()
    assert inputs == some()
    assert len(set(inputs)) > 150
    assert max(map(len, inputs)) <= target.longest_bytes


def test_a_broken_decoder_is_found_and_its_input_kept(tmp_path: Path) -> None:
    """One that believes a length: changes of the values of msgpack find it in moments."""
    seen: list[bytes] = []

    def run(data: bytes) -> bool:
        seen.append(data)
        assert b"\x0b" not in data
        return True

    target = attrs.evolve(TABLE["message"], run=run, form=Form.MSGPACK)
    recorder = Recorder(tmp_path / "last", target.longest_bytes)
    with pytest.raises(FindingError):
        fuzz(target, 1, 60.0, recorder)
    assert Recorder.read(tmp_path / "last") in (seen[-1], b"")
