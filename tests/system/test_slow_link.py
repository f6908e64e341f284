"""A pair whose cable carries little."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import trees
from tests.replication.rig import look
from tests.support import FAST, require
from tests.system.labpair import LabPair
from tests.system.netns import lab
from tests.system.nodes import pair_in

MIB = 1024 * 1024

CONTENT_MIB = 20


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[LabPair]:
    """Two nodes with a megabyte and a half in a second between them."""
    require("tc", root=True)
    with lab() as hosts:
        for sender, receiver in ("ab", "ba"):
            hosts.slow(sender, receiver, 1_500_000)
        pair = LabPair(tmp_path, hosts, {"sync": {"watch": False, "period_s": 86_400.0}})
        try:
            yield pair
        finally:
            pair.end()


@pytest.mark.parametrize(
    ("compression", "at_least", "at_most"), [("auto", 0.2, 0.75), ("off", 1.0, 1.2)]
)
def test_what_shrinks_is_sent_compressed(
    pair: LabPair, compression: str, at_least: float, at_most: float
) -> None:
    """A tenth of the content is incompressible, the rest becomes a quarter of its size.

    On a busy machine, which compresses slowly, some goes as it is until the link is known.
    """
    pair.configure({"sync": {"compression": compression}})
    primary, secondary = pair.start()
    one, other = pair.host(primary), pair.host(secondary)
    trees.compressible(primary.folder, CONTENT_MIB, MIB)
    before = pair.lab.sent_bytes(one, other)
    primary.ask("sync")
    sent = pair.lab.sent_bytes(one, other) - before
    assert at_least < sent / (CONTENT_MIB * MIB) < at_most
    assert (primary.status()["last_update"]["bytes"]) == CONTENT_MIB * MIB
    pair.wait(
        lambda: look(str(secondary.folder)) == look(str(primary.folder)), "it stands there, whole"
    )


def test_a_limit_is_kept_and_nobody_counts_as_gone(tmp_path: Path) -> None:
    """R7: the content takes several times the down interval, each of its pieces a heartbeat."""
    limit, size = 512 * 1024, 2 * MIB
    sync = {"max_bytes_s": limit, "watch": False, "period_s": 86_400.0}
    with pair_in(tmp_path, {**FAST, "sync": sync}) as pair:
        primary, secondary = pair.start()
        epoch = primary.status()["epoch"]
        (primary.folder / "noise").write_bytes(random.Random(7).randbytes(size))
        primary.ask("sync")
        update = primary.status()["last_update"]
        assert update["bytes"] == size
        assert update["duration_s"] > 0.8 * size / limit  # the first piece does not wait
        assert (primary.role, secondary.role) == ("primary", "secondary")
        assert secondary.status()["epoch"] == epoch
        assert not primary.alarms
