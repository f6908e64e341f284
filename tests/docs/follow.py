"""A how-to page, done on machines as it says.

A page is done from top to bottom. The paragraph before a block says where it is for: ``alpha``,
``beta``, ``both`` of these, or ``gamma``. A block is

- a file, if the paragraph names one: the path in backticks;
- else commands (``sh``), typed there;
- or what these have printed (``text``). They are typed again until they print it, for a node may
  need a moment; so what is typed before must bear it.

Commands whose paragraph says that the machine ``waits`` are not waited for; what they have printed
is looked at. A code that was shown last is the one that is typed, whatever the page has for it.

The numbers that a run prints are its own: :func:`is_shown`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Final, Protocol

import attrs

from tests.docs.blocks import Block, is_shown
from tests.support import WAIT_S

PLACE: Final = re.compile(r"\b(alpha|beta|gamma|both)\b")

PATH: Final = re.compile(r"`(/[\w./@-]+)`")

WAITS: Final = re.compile(r"\bwaits\b")

BEGIN: Final = ": >/run/said\n(\n{text}) </dev/null >/run/said 2>&1 &\n"

LOOK: Final = "cat /run/said\n"

CODE: Final = re.compile(r"\b\d{3}-\d{3}-\d{3}\b")
"""Of ``sbs pair``: another one each time."""

PAUSE_S: Final = 0.2


class Places(Protocol):
    """Machines as a page needs them: :class:`tests.docs.machines.Machines`."""

    def run(self, name: str, text: str) -> tuple[int, str]:
        """Type commands at a machine; exit code, and what is printed."""
        ...

    def write(self, name: str, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of a machine."""
        ...


@attrs.define
class Follower:
    """Who does what a page says.

    Args:
        machines: they run.
        typed: the last commands, and where.
        printed: what they printed.
        failed: which of them failed, if it is not to be seen from what they printed.
        code: for a pairing, as it was shown last.
    """

    machines: Places
    typed: tuple[Block, tuple[str, ...]] | None = None
    printed: str = ""
    failed: str = ""
    code: str = ""

    def follow(self, blocks: Iterable[Block]) -> None:
        """All blocks of a page.

        Raises:
            AssertionError: a command failed, or did not print what it should.
        """
        for block in blocks:
            assert block.language == "text" or not self.failed, self.failed
            self._do(block)
        assert not self.failed, self.failed

    def _do(self, block: Block) -> None:
        match block.language, PATH.search(block.lead):
            case "text", _:
                self._compare(block)
            case "sh", None:
                text = CODE.sub(lambda _: self.code, block.text)
                self.typed = (attrs.evolve(block, text=text), self._places(block))
                if WAITS.search(block.lead):
                    self._begin()
                self._type()
            case _, None:
                raise AssertionError(f"{_where(block)}: which file is this?")
            case _, found:
                mode = 0o755 if block.text.startswith("#!") else 0o644
                for place in self._places(block):
                    self.machines.write(place, found[1], block.text, mode)

    def _places(self, block: Block) -> tuple[str, ...]:
        named = PLACE.findall(block.lead)
        assert named, f"{_where(block)}: where is this for? {block.lead}"
        return ("alpha", "beta") if "both" in named else tuple(dict.fromkeys(named))

    def _begin(self) -> None:
        assert self.typed is not None
        block, places = self.typed
        for place in places:
            self.machines.run(place, BEGIN.format(text=block.text))
        self.typed = (attrs.evolve(block, text=LOOK), places)

    def _type(self) -> None:
        assert self.typed is not None
        block, places = self.typed
        self.printed = self.failed = ""
        for place in places:
            code, printed = self.machines.run(place, block.text)
            self.printed += printed
            if code:
                self.failed = f"{_where(block)} on {place}: exit code {code}\n{printed}"
                break

    def _compare(self, block: Block) -> None:
        first, give_up_at = self.printed, time.monotonic() + WAIT_S
        while not is_shown(block.text, self.printed):
            assert time.monotonic() < give_up_at, f"{_where(block)}: {first}\nlater: {self.printed}"
            time.sleep(PAUSE_S)
            self._type()
        self.failed = ""
        if found := CODE.search(self.printed):
            self.code = found[0]


def _where(block: Block) -> str:
    return f"{block.page}:{block.line}"
