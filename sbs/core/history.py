"""Which generations a node holds, and whether one node's history continues the other's."""

from __future__ import annotations

import enum
import itertools

import attrs
from attrs.validators import deep_iterable, ge, instance_of, le, max_len

from sbs.core.epoch import Epoch

DIGEST_BYTES = 32
"""Size of a BLAKE3 digest."""

MAX_GENERATION = 2**62
"""Largest generation number: it stays a signed 64-bit integer on the wire."""

RECENT_GENERATIONS = 64
"""Generations remembered one by one: more than a connection can have in flight."""

REMEMBERED_EPOCHS = 64
"""Earlier epochs remembered by their last generation: years of takeovers."""


def _check_digest(_instance: object, _attribute: attrs.Attribute[bytes], value: bytes) -> None:
    if len(value) not in (0, DIGEST_BYTES):
        raise ValueError(f"'digest' must be {DIGEST_BYTES} bytes or none, not {len(value)}")


@attrs.frozen(order=True)
class Generation:
    """One complete update (B20), or the start of a primacy.

    Args:
        epoch: the primacy that made it.
        number: counts generations over all epochs, 0 to :data:`MAX_GENERATION`. The start of a
            primacy repeats the number of the generation it starts from.
        digest: covers the contents and the digest of the predecessor, so that two different
            histories cannot share it; :data:`DIGEST_BYTES` long, or empty for a primacy's start.
    """

    epoch: Epoch
    number: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_GENERATION)])
    digest: bytes = attrs.field(
        default=b"", repr=False, validator=[instance_of(bytes), _check_digest]
    )

    def __str__(self) -> str:
        return f"{self.number} (epoch {self.epoch})"


class Relation(enum.Enum):
    """How one history stands to another."""

    SAME = "same"
    AHEAD = "ahead"
    BEHIND = "behind"
    FORK = "fork"


def _check_order(
    _instance: object,
    _attribute: attrs.Attribute[tuple[Generation, ...]],
    value: tuple[Generation, ...],
) -> None:
    keys = [(entry.epoch, entry.number) for entry in value]
    if any(later <= earlier for earlier, later in itertools.pairwise(keys)):
        raise ValueError("a history must ascend by epoch and number")


@attrs.frozen
class History:
    """The generations a node holds, oldest first: recent ones singly, older ones an epoch each.

    Args:
        entries: strictly ascending by (epoch, number); bounded by :data:`RECENT_GENERATIONS`
            plus :data:`REMEMBERED_EPOCHS`.
    """

    entries: tuple[Generation, ...] = attrs.field(
        default=(),
        validator=[
            deep_iterable(instance_of(Generation)),
            max_len(RECENT_GENERATIONS + REMEMBERED_EPOCHS),
            _check_order,
        ],
    )

    @property
    def tip(self) -> Generation | None:
        """The newest entry, or ``None`` when nothing was ever committed."""
        return self.entries[-1] if self.entries else None

    @property
    def number(self) -> int:
        """The number of the last complete generation, 0 before the first."""
        return self.entries[-1].number if self.entries else 0

    def append(self, generation: Generation) -> History:
        """The history with one more generation, older entries thinned out to the bound.

        Raises:
            ValueError: the generation is not newer than the tip.
        """
        entries = (*self.entries, generation)
        recent = entries[-RECENT_GENERATIONS:]
        last_of_epoch = {entry.epoch: entry for entry in entries[:-RECENT_GENERATIONS]}
        kept = tuple(last_of_epoch.values())[-REMEMBERED_EPOCHS:]
        return History(kept + recent)

    def contains(self, generation: Generation) -> bool:
        """Whether this history went through ``generation``.

        One epoch has one writer, which uses no number twice: an epoch that went further went
        through everything before; where the entry itself is remembered its digest decides.
        ``False`` is also the answer for an epoch that was forgotten: then a fork is reported
        that may be none, never the other way round.
        """
        later = False
        for entry in self.entries:
            if entry.epoch == generation.epoch:
                if entry.number == generation.number:
                    return entry.digest == generation.digest
                later = later or entry.number > generation.number
        return later

    def relation(self, other: History) -> Relation:
        """How this history stands to ``other``; mirrored when the two are exchanged.

        Two nodes restored from one snapshot may both write in one epoch: any generation that
        both remember, but differently, is a fork, whatever came later.
        """
        mine, theirs = self.tip, other.tip
        digests = {(entry.epoch, entry.number): entry.digest for entry in self.entries}
        if any(
            digests.get((entry.epoch, entry.number), entry.digest) != entry.digest
            for entry in other.entries
        ):
            return Relation.FORK
        if mine == theirs:
            return Relation.SAME
        ahead = theirs is None or self.contains(theirs)
        behind = mine is None or other.contains(mine)
        if ahead == behind:  # neither, or clones of one node that grew apart
            return Relation.FORK
        return Relation.AHEAD if ahead else Relation.BEHIND
