"""Callers who have not said yet who they are: how many there may be, and what is told of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

from sbs.log import WARNING, Log
from sbs.runtime import clock
from sbs.runtime.linking.link import Link

MAX_STRANGERS: Final = 128
"""At a time. One more, and the oldest gives way: a peer says who it is within milliseconds, so it
gets through between those who say nothing. Each has a descriptor and some 50 kB until it has, and
at most 200 kB: the certificates of a caller may have 100 kB."""

GRACE_S: Final = 0.25
"""Nobody gives way to more of the same address before that. So some of them come to the end of
their handshake, however many knock; and one address costs this node no more than 512 handshakes a
second, of half a millisecond each."""

MAX_TOLD: Final = 10
"""Lines of the log in :data:`TOLD_S`, no two of them the same: whoever is turned away must not
fill a disk."""

TOLD_S: Final = 60.0
"""After so many seconds the log tells again, and how many it did not tell of."""

_CallerT = TypeVar("_CallerT")

_log = Log(__name__)
_MORE = _log.event(
    "callers-untold",
    WARNING,
    "{callers} more callers were turned away, untold",
    "As for `caller-turned-away`; the log tells of ten a minute.",
)
_TURNED_AWAY = _log.event(
    "caller-turned-away",
    WARNING,
    "{text}",
    "Something that is not the other node calls the port of this one, or the other node "
    "cannot say who it is; the text says which. Let only the other node reach the port.",
)


def first_to_go(hosts: Mapping[_CallerT, str]) -> _CallerT:
    """Who gives way where there are too many: the oldest of the address that has most of them.

    Args:
        hosts: the address of each caller, the oldest first; not empty.
    """
    busiest = Counter(hosts.values()).most_common(1)[0][0]
    return next(each for each, host in hosts.items() if host == busiest)


class Strangers:
    """The strangers of one node."""

    def __init__(self) -> None:
        self._hosts: dict[Link, str] = {}
        self._told: set[str] = set()
        self._untold = 0
        self._quiet_until = 0.0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._hosts)

    def make_room(self, host: str) -> bool:
        """See that there is room for one more.

        Where there are too many, the oldest of the address that has most of them gives way. One
        more from there has to come again, while that one has come just now.

        Args:
            host: address of the one.

        Returns:
            whether there is.
        """
        if len(self._hosts) < MAX_STRANGERS:
            return True
        oldest = first_to_go(self._hosts)
        busiest = self._hosts[oldest]
        self.tell(
            f"{MAX_STRANGERS} callers have not said who they are; those from {busiest} give way: "
            "who connects there?"
        )
        if host == busiest and clock.now() < oldest.opened_at + GRACE_S:
            return False
        del self._hosts[oldest]
        oldest.cut()
        return True

    @contextmanager
    def among(self, link: Link, host: str) -> Generator[None]:
        """One more, from an address, until the context is left."""
        self._hosts[link] = host
        try:
            yield
        finally:
            self._hosts.pop(link, None)

    def tell(self, text: str) -> None:
        """Say in the log why a caller was turned away, or that others were, too."""
        now = clock.now()
        if now >= self._quiet_until:
            if self._untold:
                _MORE(callers=self._untold)
            self._quiet_until = now + TOLD_S
            self._told.clear()
            self._untold = 0
        if len(self._told) < MAX_TOLD and text not in self._told:
            self._told.add(text)
            _TURNED_AWAY(text=text)
        else:
            self._untold += 1
