"""How far an update is, on both nodes and on a terminal (B61)."""

from __future__ import annotations

import os
import pty
import random
import subprocess
from pathlib import Path
from typing import Any

from tests.support import SBS, wait_until
from tests.system.nodes import Node, pair_in

MIB = 1024 * 1024

SLOWLY = {"max_bytes_s": 512 * 1024, "watch": False, "period_s": 86_400.0}


def test_an_update_can_be_watched_on_both_nodes_and_on_a_terminal(tmp_path: Path) -> None:
    """B61: phase, counts, totals, speed and remaining time; then nothing is under way."""
    with pair_in(tmp_path, {"sync": SLOWLY}) as pair:
        primary, secondary = pair.start()
        wait_idle(primary, secondary)
        chance = random.Random(9)
        for number in range(8):
            (primary.folder / f"f{number}").write_bytes(chance.randbytes(MIB // 4))
        ours, theirs = pty.openpty()
        command = [*SBS, "sync", "-c", str(primary.config)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "COLUMNS": "120"}
        ) as sync:
            os.close(theirs)
            for node, phase in ((primary, "sending"), (secondary, "receiving")):
                found = wait_phase(node, phase)
                assert 0 < found["bytes"] <= 2 * MIB
                assert (found["files_total"], found["bytes_total"]) == (8, 2 * MIB)
                assert found["bytes_s"] > 0
            assert sync.stdout is not None
            said = sync.stdout.read()
            screen = b""
            while True:
                try:
                    screen += os.read(ours, 65536)
                except OSError:  # the terminal's other end is closed
                    break
        os.close(ours)
        assert sync.returncode == 0
        assert said.startswith(b"the secondary has everything; the last update: 8 files")
        assert b"sending  [" in screen
        assert b"of 2.0 MiB" in screen
        wait_idle(primary, secondary)


def wait_idle(*nodes: Node) -> None:
    wait_until(
        lambda: all(node.status()["progress"] is None for node in nodes), "nothing is under way"
    )


def wait_phase(node: Node, phase: str) -> dict[str, Any]:
    """How far a node is, once it is in a phase and knows how long that takes."""
    found: dict[str, Any] = {}

    def goes_on() -> bool:
        found.update(node.status()["progress"] or {})
        return found.get("phase") == phase and bool(found["remaining_s"])

    wait_until(goes_on, f"{node.name} is {phase}, and knows for how long")
    return found
