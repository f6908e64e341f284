from __future__ import annotations

import hashlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core import history as history_module
from sbs.core.epoch import Epoch
from sbs.core.history import (
    MAX_GENERATION,
    RECENT_GENERATIONS,
    REMEMBERED_EPOCHS,
    Generation,
    History,
    Relation,
)

MIRRORED = {
    Relation.SAME: Relation.SAME,
    Relation.AHEAD: Relation.BEHIND,
    Relation.BEHIND: Relation.AHEAD,
    Relation.FORK: Relation.FORK,
}
ACTS = [(verb, node) for verb in ("write", "take", "copy") for node in (0, 1)]


@attrs.frozen
class Node:
    """A node which also keeps what its history thins out."""

    chain: tuple[Generation, ...] = ()
    history: History = attrs.field(factory=History)
    writing: Epoch | None = None
    heard: int = 0

    def add(self, generation: Generation) -> Node:
        return attrs.evolve(
            self, chain=(*self.chain, generation), history=self.history.append(generation)
        )


Pair = tuple[Node, Node]


def act(pair: Pair, verb: str, slot: int) -> Pair:
    """What the protocol allows a pair: one writer an epoch, which uses no number twice."""
    node, other = pair[slot], pair[1 - slot]
    match verb:
        case "write" if node.writing is not None:
            past = b"".join(bytes(str(each), "ascii") + each.digest for each in node.chain)
            digest = hashlib.sha256(past).digest()
            node = node.add(Generation(node.writing, node.history.number + 1, digest))
        case "take":
            epoch = Epoch(node.heard + 1, slot)
            node = node.add(Generation(epoch, node.history.number))
            node = attrs.evolve(node, writing=epoch, heard=epoch.counter)
        case "copy":  # the node drops what it has and takes what the other has
            heard = max(node.heard, other.heard)
            node = attrs.evolve(other, writing=None, heard=heard)
        case _:
            return pair
    return (node, other) if slot == 0 else (other, node)


def true_relation(mine: tuple[Generation, ...], theirs: tuple[Generation, ...]) -> Relation:
    if mine == theirs:
        return Relation.SAME
    if mine[: len(theirs)] == theirs:
        return Relation.AHEAD
    return Relation.BEHIND if theirs[: len(mine)] == mine else Relation.FORK


def check(pair: Pair, *, thinned: bool) -> None:
    here, there = pair
    for node in pair:
        for generation in {*here.chain, *there.chain}:
            contained = node.history.contains(generation)
            if contained or not thinned:
                assert contained == (generation in node.chain)
    relation = here.history.relation(there.history)
    assert there.history.relation(here.history) is MIRRORED[relation]
    truth = true_relation(here.chain, there.chain)
    assert relation is truth or (thinned and relation is Relation.FORK)


def explore(pair: Pair, depth: int, *, thinned: bool) -> int:
    check(pair, thinned=thinned)
    if depth == 0:
        return 1
    after = {act(pair, verb, slot) for verb, slot in ACTS} - {pair}
    return 1 + sum(explore(each, depth - 1, thinned=thinned) for each in after)


def test_relation_is_true_and_mirrored_in_all_small_stories() -> None:
    """B1: two nodes that compare their histories come to the same answer."""
    assert explore((Node(), Node()), 7, thinned=False) > 10_000


def test_thinned_history_never_claims_what_it_did_not_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_module, "RECENT_GENERATIONS", 1)
    monkeypatch.setattr(history_module, "REMEMBERED_EPOCHS", 1)
    assert explore((Node(), Node()), 7, thinned=True) > 10_000


@given(
    st.lists(st.tuples(st.sampled_from(ACTS), st.integers(min_value=1, max_value=40)), max_size=40)
)
def test_relation_is_true_or_a_fork_in_long_stories(
    story: list[tuple[tuple[str, int], int]],
) -> None:
    pair: Pair = (Node(), Node())
    for (verb, slot), times in story:
        for _ in range(times if verb == "write" else 1):
            pair = act(pair, verb, slot)
    check(pair, thinned=True)


def test_history_is_bounded_and_keeps_the_last_generation_of_each_epoch() -> None:
    history = History()
    number = 0
    for counter in range(1, 101):
        for _ in range(3):
            number += 1
            history = history.append(Generation(Epoch(counter, 0), number, b"d" * 32))
    older = history.entries[:-RECENT_GENERATIONS]
    assert len(history.entries) == RECENT_GENERATIONS + REMEMBERED_EPOCHS
    # The epoch that lies on the border of the two parts is thinned there to what it had so far.
    assert [entry.number % 3 for entry in older[:-1]] == [0] * (REMEMBERED_EPOCHS - 1)
    assert len({entry.epoch for entry in older}) == REMEMBERED_EPOCHS
    assert history.number == 300


def test_returning_node_finds_itself_behind_after_many_generations() -> None:
    epoch = Epoch(1, 0)
    behind = History((Generation(epoch, 1, b"a" * 32),))
    ahead = behind
    for number in range(2, 1000):
        ahead = ahead.append(Generation(epoch, number, b"b" * 32))
    assert behind.relation(ahead) is Relation.BEHIND
    assert ahead.relation(behind) is Relation.AHEAD


def test_generation_with_another_digest_is_a_fork_where_it_is_remembered() -> None:
    """Adversarial case 22: clones of one node write different things under one name."""
    epoch = Epoch(1, 0)
    one = History((Generation(epoch, 1, b"a" * 32),))
    two = History((Generation(epoch, 1, b"b" * 32),))
    assert one.relation(two) is Relation.FORK
    assert one.append(Generation(epoch, 2, b"c" * 32)).relation(two) is Relation.FORK
    one_more = one.append(Generation(epoch, 3, b"c" * 32))
    two_more = two.append(Generation(epoch, 2, b"d" * 32))
    assert one_more.relation(two_more) is two_more.relation(one_more) is Relation.FORK


def test_empty_history_is_behind_every_other() -> None:
    some = History((Generation(Epoch(1, 0), 0),))
    assert (History().tip, History().number) == (None, 0)
    assert History().relation(some) is Relation.BEHIND
    assert some.relation(History()) is Relation.AHEAD
    assert History().relation(History()) is Relation.SAME


@pytest.mark.parametrize(
    ("counter", "number"), [(2, 5), (2, 4), (1, 6)], ids=["again", "older number", "older epoch"]
)
def test_only_something_newer_is_appended(counter: int, number: int) -> None:
    history = History((Generation(Epoch(2, 0), 5, b"a" * 32),))
    with pytest.raises(ValueError, match="must ascend"):
        history.append(Generation(Epoch(counter, 0), number, b"b" * 32))


def test_history_longer_than_its_bound_is_refused() -> None:
    bound = RECENT_GENERATIONS + REMEMBERED_EPOCHS
    entries = tuple(Generation(Epoch(1, 0), number) for number in range(bound + 1))
    assert len(History(entries[:bound]).entries) == bound
    with pytest.raises(ValueError, match="Length of 'entries' must be <= 128: 129"):
        History(entries)


@pytest.mark.parametrize(
    ("number", "digest", "text"),
    [
        (-1, b"", "'number' must be >= 0"),
        (MAX_GENERATION + 1, b"", "'number' must be <= "),
        (1, b"short", "'digest' must be 32 bytes or none, not 5"),
    ],
)
def test_impossible_generation_is_refused(number: int, digest: bytes, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Generation(Epoch(1, 0), number, digest)


def test_generation_is_shown_by_number_and_epoch() -> None:
    assert str(Generation(Epoch(3, 1), 41, b"d" * 32)) == "41 (epoch 3.1)"
