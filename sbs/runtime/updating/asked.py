"""Those who wait for an update: the operator, and a handover for its last one."""

from __future__ import annotations

import trio


class Asked:
    """Whoever asks is served by the first update that begins afterwards.

    Attributes:
        last: no update comes after the one that is served now.
        accepted: id of the held update that may be sent now; or empty.
        full: somebody wants everything looked at.
    """

    def __init__(self) -> None:
        self.last: bool = False
        self.accepted: str = ""
        self.full: bool = False
        self._waiting: list[trio.Event] = []
        self._served: list[trio.Event] = []
        self._last = False
        self._accepted = ""
        self._full = False

    async def wait(self, *, last: bool = False, accepted: str = "", quick: bool = False) -> None:
        """Ask for an update, and wait for its end; a quick one looks only where it has to."""
        done = trio.Event()
        self._waiting.append(done)
        self._last = self._last or last
        self._accepted = accepted or self._accepted
        self._full = self._full or not quick
        await done.wait()

    def serve(self) -> None:
        """An update begins."""
        self._served += self._waiting
        self._waiting = []
        self.last, self.accepted, self.full = self._last, self._accepted, self._full
        self._accepted, self._full = "", False

    @property
    def ending(self) -> bool:
        """Whether somebody waits for the last update, or it is under way."""
        return self._last

    @property
    def served(self) -> bool:
        """Whether somebody waits for the update under way."""
        return bool(self._served)

    def answer(self) -> None:
        """It has ended."""
        for done in self._served:
            done.set()
        self._served = []
