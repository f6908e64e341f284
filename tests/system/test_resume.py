"""A large file on its way when the primary is killed (B24)."""

from __future__ import annotations

import random
from pathlib import Path

from sbs.core.manifest import STAGING_NAME
from sbs.replication.receiving.fragment import FRAGMENT_NAME
from tests.support import wait_until
from tests.system.nodes import Node, pair_in

FRAGMENT = f"{STAGING_NAME}/{FRAGMENT_NAME}"
MIB = 1024 * 1024
SIZE = 8 * MIB
SLOWLY = {"max_bytes_s": 2 * MIB, "watch": False, "period_s": 0.5}


def received(node: Node) -> int:
    """Bytes of contents of the update that comes in."""
    progress = node.status()["progress"]
    return int(progress["bytes"]) if progress and progress["phase"] == "receiving" else 0


def test_the_secondary_goes_on_where_a_killed_primary_was(tmp_path: Path) -> None:
    """B24: it stays secondary meanwhile; each time only the rest is sent."""
    content = random.Random(4).randbytes(SIZE)
    with pair_in(tmp_path, {"sync": SLOWLY}) as pair:
        primary, secondary = pair.start()
        primary.ask("pause")
        wait_until(lambda: secondary.status()["paused"], "the secondary is told of the pause")
        (primary.folder / "image").write_bytes(content)
        for _ in range(2):
            wait_until(lambda: received(secondary) >= 2 * MIB, "two megabytes have come")
            primary.kill()
            wait_until(
                lambda: (secondary.folder / FRAGMENT).exists(),
                "what has come is kept",
            )
            primary.start()
            primary.wait_role("primary")
        secondary.wait_file("image", content)
        wait_until(lambda: primary.status()["last_update"], "the primary knows")
        assert primary.status()["last_update"]["bytes"] <= SIZE - 4 * MIB
        assert secondary.role == "secondary"
        pair.wait_settled(primary, secondary)
        assert not (secondary.folder / FRAGMENT).exists()


def test_a_secondary_that_takes_over_keeps_nothing_of_the_rest(tmp_path: Path) -> None:
    """B24: nobody goes on with it, and it would take room."""
    with pair_in(tmp_path, {"sync": SLOWLY}) as pair:
        primary, secondary = pair.start()
        (primary.folder / "image").write_bytes(random.Random(4).randbytes(SIZE))
        wait_until(lambda: received(secondary) >= 2 * MIB, "two megabytes have come")
        primary.kill()
        secondary.wait_service()
        wait_until(lambda: not (secondary.folder / FRAGMENT).exists(), "nothing is left")
