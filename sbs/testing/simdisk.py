"""What survives a crash of a simulated node."""

from __future__ import annotations

import attrs

from sbs.core.effects import Durable
from sbs.core.history import History


@attrs.define
class Disk:
    """What survives a crash of a simulated node."""

    durable: Durable
    journal: History | None = None
    """Of a generation that is committed, but not yet part of ``durable``."""
    tree: int = 0
    """The newest write that the node's folders hold."""

    def recover(self) -> None:
        """What a node does first after a crash: count the committed generation in."""
        tip = None if self.journal is None else self.journal.tip
        if self.journal is not None and tip is not None:
            if not self.durable.history.contains(tip):
                self.durable = attrs.evolve(self.durable, history=self.journal)
            self.journal = None
