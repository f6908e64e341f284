"""A third process that watches the services of a pair, all the time: do two ever serve at once?

Each service stamps every millisecond that it runs: its epoch, and the machine's one clock. The
watcher reads the stamps as they are written, and judges by their times: how late it looks does not
matter, so a busy machine hides nothing. Run as a module with the directories of the nodes; it ends
with its standard input, and then reports as JSON.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from tests.support import ROOT, WAIT_S
from tests.system.labpair import STAMPS, LabPair, Run, overlaps_of

LOOK_S: Final = 0.02
"""Between two looks; each reads what has been written since."""


@attrs.define
class Watched:
    """What one service has stamped so far: first and last time of each of its epochs."""

    path: Path
    count: int = 0
    _read_bytes: int = 0
    _spans: dict[int, list[int]] = attrs.field(factory=dict)

    def look(self) -> None:
        """Read what is new; a line that is being written waits for the next look."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            lines = file.read().rpartition(b"\n")[0]
        for line in lines.splitlines():
            moment, epoch = map(int, line.split())
            self._spans.setdefault(epoch, [moment, moment])[1] = moment
            self.count += 1
        self._read_bytes += len(lines) + 1 if lines else 0

    @property
    def runs(self) -> list[Run]:
        """Its runs until now."""
        return [
            Run(first, last, epoch, str(self.path)) for epoch, (first, last) in self._spans.items()
        ]


def main() -> None:
    """Watch until standard input ends; then report."""
    services = [Watched(Path(directory) / STAMPS) for directory in sys.argv[1:]]
    over = False
    while not over:
        over = bool(select.select([sys.stdin], [], [], LOOK_S)[0])
        for service in services:
            service.look()
    runs = sorted(run for service in services for run in service.runs)
    report = {
        "stamps": [service.count for service in services],
        "epochs": sorted({run.epoch for run in runs}),
        "overlaps": [[attrs.asdict(run) for run in pair] for pair in overlaps_of(runs)],
    }
    json.dump(report, sys.stdout)


@contextmanager
def watching(pair: LabPair) -> Iterator[dict[str, Any]]:
    """Watch a pair during the block.

    Yields:
        the report: empty, and filled when the block is over.
    """
    report: dict[str, Any] = {}
    directories = [str(node.directory) for node in pair.nodes]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.system.watcher", *directories],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield report
            report.update(json.loads(process.communicate(timeout=WAIT_S)[0]))
        finally:
            process.kill()


if __name__ == "__main__":
    main()
