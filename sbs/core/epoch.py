"""Epochs: every primacy has a number of its own (B2)."""

from __future__ import annotations

import attrs
from attrs.validators import ge, instance_of, le

MAX_COUNTER = 2**62 - 1
"""Largest epoch counter: :attr:`Epoch.number` stays a signed 64-bit integer."""


@attrs.frozen(order=True)
class Epoch:
    """The number of one primacy.

    Args:
        counter: how many primacies the pair has known, 0 (none) to :data:`MAX_COUNTER`.
        slot: which of the two nodes holds it, 0 or 1. Two nodes never have the same slot, so
            that two sides of a partition never use the same number.
    """

    counter: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_COUNTER)])
    slot: int = attrs.field(validator=[instance_of(int), ge(0), le(1)])

    @property
    def number(self) -> int:
        """The fencing token that services see as ``SBS_EPOCH``: greater is newer."""
        return 2 * self.counter + self.slot

    def next(self, slot: int) -> Epoch:
        """The epoch after this one, held by the node in ``slot``."""
        return Epoch(self.counter + 1, slot)

    def __str__(self) -> str:
        return f"{self.counter}.{self.slot}"


NO_EPOCH = Epoch(0, 0)
"""Before the first primacy."""
