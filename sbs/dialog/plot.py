"""The last updates as a row of blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from gettext import gettext as _
from typing import Any, Final

MAX_UPDATES: Final = 60
"""Updates that are plotted: half a row of a terminal, half an hour at the usual period."""

_BLOCKS: Final = "▁▂▃▄▅▆▇█"


class Updates:
    """The updates seen since the dialog was opened, each once."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=MAX_UPDATES)

    def note(self, update: Mapping[str, Any] | None) -> None:
        """Take the last update of a status."""
        if update is None:
            return
        if not self._seen or self._seen[-1][0] != update["at"]:
            self._seen.append((update["at"], update["duration_s"]))

    @property
    def durations_s(self) -> tuple[float, ...]:
        """How long each took, oldest first."""
        return tuple(duration_s for _, duration_s in self._seen)


def plot(values: Iterable[float]) -> str:
    """A block for each value; the highest one is full.

    Args:
        values: from 0.
    """
    found = list(values)
    most = max(found, default=0) or 1
    return "".join(_BLOCKS[min(7, int(8 * value / most))] for value in found)


def size(count: float) -> str:
    """A number of bytes for people: ``3.4 MiB``."""
    if count < 1024:
        return _("{count:.0f} bytes").format(count=count)
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    count /= 1024
    return f"{count:.1f} TiB"
