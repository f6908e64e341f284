from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from sbs.core.effects import Durable, Via
from sbs.core.epoch import Epoch
from sbs.core.events import StopAsked
from sbs.core.history import Generation, History
from sbs.testing.simdisk import Disk
from sbs.testing.simnode import InvariantError
from sbs.testing.simpair import SimPair


def running() -> SimPair:
    pair = SimPair(6)
    pair.nodes[0].start()
    pair.run(1.0)
    pair.nodes[1].start()
    pair.run(1.0)
    assert pair.settled
    return pair


def test_what_was_journaled_counts_after_a_crash() -> None:
    history = History((Generation(Epoch(1, 0), 0),))
    further = history.append(Generation(Epoch(1, 0), 1, b"x" * 32))
    disk = Disk(Durable(slot=0, epoch=Epoch(1, 0), history=history), journal=further)
    disk.recover()
    assert disk.durable.history == further
    assert disk.journal is None
    newest = disk.durable
    disk.journal = history
    disk.recover()
    assert disk.durable == newest


def test_a_crash_ends_services_and_a_freeze_does_not() -> None:
    pair = running()
    (primary,) = pair.serving
    primary.freeze()
    pair.run(0.5)
    assert primary.serving is not None
    primary.crash()
    assert primary.serving is None
    assert not primary.running


def test_only_where_services_run_is_written() -> None:
    pair = running()
    (primary,) = pair.serving
    secondary = pair.peer(primary)
    before = secondary.disk.tree
    secondary.write()
    assert secondary.disk.tree == before
    primary.write()
    assert primary.disk.tree > before


def test_a_stop_ends_a_node_and_a_second_start_begins_it_anew() -> None:
    pair = running()
    (primary,) = pair.serving
    primary.start()
    assert primary.life == 1
    primary.post(StopAsked())
    pair.run(2.0)
    assert not primary.running
    primary.post(StopAsked())
    primary.start()
    pair.run(2.0)
    assert pair.settled
    assert primary.life > 1


def reuse_an_epoch(pair: SimPair) -> None:
    (primary,) = pair.serving
    assert primary.serving is not None
    pair.serve(primary, primary.serving)


def go_back(pair: SimPair) -> None:
    pair.serve(pair.serving[0], Epoch(0, 1))


def run_beside(pair: SimPair) -> None:
    secondary = pair.peer(pair.serving[0])
    _make_durable(pair, Epoch(50, 1))
    pair.serve(secondary, Epoch(50, 1))


def serve_undurably(pair: SimPair) -> None:
    pair.serve(pair.serving[0], Epoch(50, 0))


def take_over_without_the_last_write(pair: SimPair) -> None:
    (primary,) = pair.serving
    secondary = pair.peer(primary)
    primary.write()
    pair.promises.released(primary)
    primary.crash()
    _make_durable(pair, Epoch(50, 1))
    secondary.model = attrs.evolve(secondary.model, via=Via.RELEASED)
    pair.serve(secondary, Epoch(50, 1))


def _make_durable(pair: SimPair, epoch: Epoch) -> None:
    for node in pair.nodes:
        node.disk.durable = attrs.evolve(node.disk.durable, epoch=epoch, held=True)


@pytest.mark.parametrize(
    ("breach", "text"),
    [
        (reuse_an_epoch, "SBS_EPOCH 2 was used twice"),
        (go_back, "saw a newer epoch"),
        (run_beside, "neither was silent"),
        (serve_undurably, "not durable"),
        (take_over_without_the_last_write, "the handover lost writes"),
    ],
)
def test_a_broken_promise_is_seen(breach: Callable[[SimPair], None], text: str) -> None:
    pair = running()
    with pytest.raises(InvariantError, match=f"^seed 6 at .*{text}"):
        breach(pair)


def test_a_pair_that_has_not_settled_is_not_called_so() -> None:
    pair = running()
    pair.promises.settled()
    pair.nodes[1].disk.tree = 99
    with pytest.raises(InvariantError, match="the folders differ"):
        pair.promises.settled()
    pair.serving[0].crash()
    with pytest.raises(InvariantError, match="not settled"):
        pair.promises.settled()
