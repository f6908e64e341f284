"""What a caller asks of a benchmark."""

from __future__ import annotations

from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class Order:
    """How often, how large and where.

    Args:
        count: runs of each side.
        scale: 1 for the sizes of the table, 0.01 for a hundredth of everything that is counted.
        directory: for file systems and their images; a temporary one is made in it.
    """

    count: int
    scale: float = 1.0
    directory: Path

    def scaled(self, count: int) -> int:
        """A count or size of the table at this scale, at least 1."""
        return max(1, round(self.scale * count))
