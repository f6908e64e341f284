from __future__ import annotations

import pytest

from sbs.core.epoch import MAX_COUNTER, NO_EPOCH, Epoch


def test_next_epoch_is_newer_whoever_holds_it() -> None:
    """B2: every primacy has a number of its own."""
    for slot in (0, 1):
        for taker in (0, 1):
            old, new = Epoch(7, slot), Epoch(7, slot).next(taker)
            assert new == Epoch(8, taker)
            assert new > old
            assert new.number > old.number


def test_two_sides_of_a_partition_never_use_the_same_number() -> None:
    """B2: a fencing token names one primacy; greater is newer."""
    epochs = [Epoch(counter, slot) for counter in range(20) for slot in (0, 1)]
    assert len({epoch.number for epoch in epochs}) == len(epochs)
    assert sorted(epochs) == sorted(epochs, key=lambda epoch: epoch.number)


def test_number_stays_a_signed_integer_of_64_bits() -> None:
    assert Epoch(MAX_COUNTER, 1).number == 2**63 - 1


@pytest.mark.parametrize(("counter", "slot"), [(-1, 0), (MAX_COUNTER + 1, 0), (0, -1), (0, 2)])
def test_counter_or_slot_out_of_range_is_refused(counter: int, slot: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        Epoch(counter, slot)


def test_epoch_is_shown_as_counter_and_slot() -> None:
    assert str(Epoch(12, 1)) == "12.1"
    assert Epoch(0, 1) > NO_EPOCH
