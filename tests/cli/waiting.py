"""``sbs pair`` as it waits for the other node."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import ROOT, SBS

_COMMAND = re.compile(r"  sbs pair (127\.0\.0\.1:\d+) (\d{3}-\d{3}-\d{3})\n")


@contextmanager
def waiting(config: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, and the address and the code that it shows; it ends with the block."""
    with subprocess.Popen(
        [*SBS, "pair", "--listen", "127.0.0.1:0", *words, "-c", str(config)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == (
                "On the other node run, within 10 minutes, with its -c FILE:\n"
            )
            found = _COMMAND.fullmatch(process.stdout.readline())
            assert found is not None
            yield process, found[1], found[2]
        finally:
            process.kill()
