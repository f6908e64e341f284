"""Holds inputs against a target: errors, time, memory; finds new ones by what the decoder says."""

from __future__ import annotations

import base64
import faulthandler
import mmap
import random
import re
import resource
import signal
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from tests.fuzz.contract import MIB, NoInputError, Target
from tests.fuzz.mutate import Mutator

CPU_S: Final = 10.0
"""Of one input: a hang, or work that grows with the square of the length. Usual is 1 ms."""

HARD_S: Final = 120.0
"""On the clock, for what no signal interrupts: the process ends, and the input is in the file."""

ROOM_BYTES: Final = 1024 * MIB
"""Address space beside what the process has when a target begins; more is a MemoryError."""

MEASURED: Final = 8
"""Of so many stretches of inputs one is measured for the memory that each takes; new ones are."""

STRETCH: Final = 64
"""Inputs that follow each other in a stretch. Python 3.11 loses 64 bytes for each line of code that
has allocated when it ends to trace; once for each input it was a gigabyte in twenty minutes."""

MAX_POOL: Final = 400
"""Inputs that others are made from."""

CORPUS: Final = Path(__file__).parent / "corpus"

_VARYING: Final = re.compile(r"['\"].*['\"]|[^A-Za-z ]+", re.DOTALL)
"""What differs between two errors of one kind."""


class HangError(BaseException):
    """An input takes too long; no decoder catches this."""


class FindingError(Exception):
    """A decoder broke its contract."""

    def __init__(self, target: Target, data: bytes, what: str) -> None:
        super().__init__(f"{target.name}: {what}; input of {len(data)} bytes: {data[:200]!r}")
        self.target = target
        self.data = data


def judge(target: Target, data: bytes, *, measured: bool = False) -> str:
    """Run one input; return what the decoder said of it, empty where it took it.

    Raises:
        FindingError: it broke its contract.
    """
    if not measured:
        return _run(target, data)
    bound = target.held_bytes + target.held_per_byte * len(data)
    with traced():
        word, peak = _measure(target, data)
        if peak > bound:  # what is imported or cached the first time is not the input's
            word, peak = _measure(target, data)
    if peak > bound:
        raise FindingError(target, data, f"takes {peak} bytes of memory, over {bound}")
    return word


def _measure(target: Target, data: bytes) -> tuple[str, int]:
    former = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    word = _run(target, data)
    return word, tracemalloc.get_traced_memory()[1] - former


@contextmanager
def traced() -> Iterator[None]:
    """Trace what is allocated inside, where that is not done already."""
    if tracemalloc.is_tracing():
        yield
        return
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def _run(target: Target, data: bytes) -> str:
    try:
        return "" if target.run(data) else "nothing"
    except NoInputError:
        return "no input"
    except target.allowed as error:
        return f"{type(error).__name__}: {_VARYING.sub('_', str(error))[:60]}"
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise FindingError(target, data, f"{type(error).__name__}: {str(error)[:500]}") from error


@contextmanager
def limited() -> Iterator[None]:
    """Bound the CPU time of what runs inside; see :data:`CPU_S`."""

    def expired(_number: int, _frame: object) -> None:
        raise HangError(f"over {CPU_S:g} s of CPU time")

    former = signal.signal(signal.SIGPROF, expired)
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, former)


def bound_memory() -> None:
    """Bound the address space of this process, beside what it has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


class Recorder:
    """Keeps the present input in a file, which is there even if the process crashes.

    Args:
        path: of the file.
        most_bytes: longest input.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        with path.open("w+b") as file:
            file.truncate(8 + most_bytes)
            self._map = mmap.mmap(file.fileno(), 8 + most_bytes)

    def note(self, data: bytes) -> None:
        """The next input."""
        self._map[: 8 + len(data)] = len(data).to_bytes(8) + data

    @staticmethod
    def read(path: Path) -> bytes:
        """The last input."""
        raw = path.read_bytes()
        return raw[8 : 8 + int.from_bytes(raw[:8])]


def corpus_of(target: Target) -> list[bytes]:
    """The kept inputs of a target, by the names of their files."""
    return [path.read_bytes() for path in sorted((CORPUS / target.name).iterdir())]


@attrs.define(kw_only=True)
class Report:
    """What a run has done for one target.

    Args:
        target: of it.
        executions: inputs that were run.
        new: inputs by which the decoder said what it had not said before.
    """

    target: Target
    executions: int = 0
    new: list[bytes] = attrs.field(factory=list[bytes])


def fuzz(target: Target, seed: int, seconds: float, recorder: Recorder | None = None) -> Report:
    """Mutate the corpus of a target for a while.

    Args:
        target: of the run.
        seed: decides over all inputs: the same one makes the same ones.
        seconds: how long, on the clock.
        recorder: told of each input.

    Raises:
        FindingError: the decoder broke its contract.
    """
    chance = random.Random(f"{target.name} {seed}")
    pool = corpus_of(target)
    known = {judge(target, data) for data in pool}
    mutator, report = Mutator(target, chance), Report(target=target)
    end_at = time.monotonic() + seconds
    faulthandler.dump_traceback_later(seconds + HARD_S, exit=True)
    try:
        while time.monotonic() < end_at:
            data = mutator.make(pool)
            if recorder is not None:
                recorder.note(data)
            measured = report.executions // STRETCH % MEASURED == 0
            if measured is not tracemalloc.is_tracing():
                (tracemalloc.start if measured else tracemalloc.stop)()
            with limited():
                word = judge(target, data, measured=measured)
                if word not in known and not measured:
                    judge(target, data, measured=True)
            report.executions += 1
            if word not in known:
                known.add(word)
                report.new.append(data)
                if len(pool) < MAX_POOL:
                    pool.append(data)
    finally:
        tracemalloc.stop()
        faulthandler.cancel_dump_traceback_later()
    return report


def shares(targets: Sequence[Target], seconds: float) -> Iterator[tuple[Target, float]]:
    """How long each target runs."""
    total = sum(target.weight for target in targets)
    for target in targets:
        yield target, seconds * target.weight / total


def minimized(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """A shorter input that still fails: pieces are left out while it does."""
    step = max(1, len(data) // 2)
    while step:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + step :]
            if fails(shorter):
                data = shorter
            else:
                at += step
        step //= 2
    return data


def to_paste(data: bytes) -> str:
    """A whole input as a word of a command line: at most 88 kB, of the 64 KiB of the longest."""
    return base64.b64encode(zlib.compress(data, 9)).decode()


def from_paste(text: str) -> bytes:
    """The input that :func:`to_paste` has made a word of."""
    return zlib.decompress(base64.b64decode(text))
