"""What a piece of work cost: time, CPU and memory of the processes that did it, from /proc."""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import attrs

SAMPLE_S: Final = 0.02
"""From one look at a peer's memory to the next: its processes end before they can be asked."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@attrs.frozen(kw_only=True)
class Cost:
    """Of one update, both ends together.

    Args:
        said_s: until the sending side says that it is done. Of ours: the generation is durable
            on the other node, in its journal. Of a peer: its command has ended.
        flushed_s: until it stands in its place and is durable. Of a peer: ``sync -f`` included.
        cpu_s: of the processes of both ends.
        peak_bytes: their highest resident memory, added up.
    """

    said_s: float
    flushed_s: float
    cpu_s: float
    peak_bytes: int

    @classmethod
    def median(cls, costs: Sequence[Cost]) -> Cost:
        """The median of each figure."""
        return cls(
            said_s=round(statistics.median(cost.said_s for cost in costs), 4),
            flushed_s=round(statistics.median(cost.flushed_s for cost in costs), 4),
            cpu_s=round(statistics.median(cost.cpu_s for cost in costs), 2),
            peak_bytes=int(statistics.median(cost.peak_bytes for cost in costs)),
        )


def cpu_s(pid: int) -> float:
    """CPU time that a process and the children it has collected have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS


def peak_bytes(pid: int) -> int:
    """Highest resident memory of a process since :func:`reset_peak`; 0 if it is gone."""
    return _memory_bytes(pid, "VmHWM:")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 if it is gone."""
    return _memory_bytes(pid, "VmRSS:")


def reset_peak(pid: int) -> None:
    """Forget the highest resident memory so far."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descendants(pid: int) -> list[int]:
    """The processes below one that run now, without itself."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has just ended
            for child in map(int, children.read_text().split()):
                found += [child, *descendants(child)]
    return found


class Peaks:
    """Samples the memory of processes and all below them; a context manager."""

    def __init__(self, *pids: int) -> None:
        self._pids = list(pids)
        self._peaks: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def add(self, pid: int) -> None:
        """Look at one more."""
        self._pids.append(pid)

    @property
    def bytes(self) -> int:
        """The highest that was seen of each, added up."""
        return sum(self._peaks.values())

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_S):
            for top in tuple(self._pids):
                for pid in (top, *descendants(top)):
                    self._peaks[pid] = max(self._peaks.get(pid, 0), peak_bytes(pid))

    def __enter__(self) -> Peaks:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()


def _memory_bytes(pid: int, field: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field):
                return 1024 * int(line.split()[1])
    return 0
