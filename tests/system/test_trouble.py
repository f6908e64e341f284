"""A bad network and a busy machine are no reason for a takeover (issue 3, must show 4)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from tests.system.labpair import LabPair
from tests.system.netns import Lab, lab
from tests.system.nodes import Node
from tests.system.scene import token
from tests.system.wire import Wire, wire

TROUBLE_S: Final = float(os.environ.get("SBS_TROUBLE_S", "60"))
"""Of all kinds together."""

HOG: Final = (sys.executable, "-I", "-S", "-c", "while True: pass")


@attrs.frozen
class Trouble:
    """What goes wrong: the network, in both directions, and all processors."""

    name: str
    loss: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    busy: bool = False


TROUBLES: Final = (
    Trouble("loss", loss=0.05),
    Trouble("delay", delay_s=0.2, jitter_s=0.05),
    Trouble("busy", busy=True),
    Trouble("all", loss=0.05, delay_s=0.2, jitter_s=0.05, busy=True),
)


@pytest.fixture(scope="module")
def hosts() -> Iterator[Lab]:
    with lab() as hosts:
        yield hosts


@pytest.fixture(scope="module")
def cable(hosts: Lab) -> Iterator[Wire]:
    with wire(hosts) as cable:
        yield cable


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_no_takeover(hosts: Lab, cable: Wire, tmp_path: Path, trouble: Trouble) -> None:
    """R7, must show 4: with default settings, under the policy that acts on silence alone.

    What is written meanwhile arrives, so the connection was in use all the time.
    """
    port = 4445 + TROUBLES.index(trouble)
    pair = LabPair(tmp_path, hosts, {}, port)
    cable.change()
    with ExitStack() as over:
        over.callback(pair.end)
        primary, secondary = pair.start()
        before = settled_state(pair, primary)
        cable.change(loss=trouble.loss, delay_s=trouble.delay_s, jitter_s=trouble.jitter_s)
        if trouble.busy:
            for _ in range(os.cpu_count() or 1):
                over.callback(end, subprocess.Popen(HOG))
        over_at = time.monotonic() + TROUBLE_S / len(TROUBLES)
        while time.monotonic() < over_at:
            (primary.folder / "time").write_text(str(time.monotonic()))
            time.sleep(1.0)
            assert settled_state(pair, primary) == before, secondary.log_tail()
        (primary.folder / "last").write_bytes(b"written in trouble")
        secondary.wait_file("last", b"written in trouble")
        assert settled_state(pair, primary) == before


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def settled_state(pair: LabPair, primary: Node) -> tuple[Any, ...]:
    """Roles, epoch, processes, and how often a node began to follow: what a loss would change."""
    return (
        *(node.role for node in pair.nodes),
        token(primary),
        *(pair.service_pid(node) for node in pair.nodes),
        *(node.log_text.count(": following ") for node in pair.nodes),
    )


@pytest.mark.parametrize("frozen", ["primary", "secondary"])
def test_a_freeze_of_a_second(hosts: Lab, cable: Wire, tmp_path: Path, frozen: str) -> None:
    """R7, must show 4: SIGSTOP of 1.0 s, with default settings: no takeover."""
    pair = LabPair(tmp_path, hosts, {}, 4445 + len(TROUBLES) + (frozen == "primary"))
    cable.change()
    try:
        primary, secondary = pair.start()
        before = settled_state(pair, primary)
        node = primary if frozen == "primary" else secondary
        node.signal(signal.SIGSTOP)
        time.sleep(1.0)
        node.signal(signal.SIGCONT)
        (primary.folder / "after").write_bytes(b"the freeze")
        secondary.wait_file("after", b"the freeze")
        assert settled_state(pair, primary) == before
    finally:
        pair.end()
