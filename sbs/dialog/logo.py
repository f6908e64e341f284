"""The node's state as a large word and a sign: to be read across a room, and without colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs


@attrs.frozen
class Look:
    """How a state looks.

    Args:
        sign: one character, for the title of the terminal.
        colour: a name of Textual's theme.
        emblem: five lines of nine characters.
    """

    sign: str
    colour: str
    emblem: tuple[str, ...]


LOOKS: Final[Mapping[str, Look]] = {
    "primary": Look(
        "▲", "success", ("    ▄    ", "   ▄█▄   ", "  ▄███▄  ", " ▄█████▄ ", "▄███████▄")
    ),
    "secondary": Look(
        "◆", "primary", ("   ▄█▄   ", " ▄█████▄ ", "█████████", " ▀█████▀ ", "   ▀█▀   ")
    ),
    "stopped": Look(
        "■", "error", ("█████████", "██     ██", "██     ██", "██     ██", "█████████")
    ),
    "fenced": Look("✕", "error", ("██▄   ▄██", " ▀██▄██▀ ", "   ███   ", " ▄██▀██▄ ", "██▀   ▀██")),
    "waiting": Look(
        "…", "warning", ("█████████", " ▀█████▀ ", "   ▀█▀   ", " ▄█████▄ ", "█████████")
    ),
    "probing": Look(
        "?", "warning", (" ▄█████▄ ", " ▀▀   ██ ", "    ▄██▀ ", "    ▀▀   ", "    ██   ")
    ),
}
"""Of the roles that ``sbs status`` tells, each with a shape of its own."""

SILENT: Final = Look(
    "!", "warning", ("    ██   ", "    ██   ", "    ██   ", "         ", "    ██   ")
)
"""A node that may run and does not answer."""

_FONT: Final[Mapping[str, tuple[int, ...]]] = {
    "A": (0b01110, 0b10001, 0b11111, 0b10001, 0b10001),
    "B": (0b11110, 0b10001, 0b11110, 0b10001, 0b11110),
    "C": (0b01111, 0b10000, 0b10000, 0b10000, 0b01111),
    "D": (0b11110, 0b10001, 0b10001, 0b10001, 0b11110),
    "E": (0b11111, 0b10000, 0b11110, 0b10000, 0b11111),
    "F": (0b11111, 0b10000, 0b11110, 0b10000, 0b10000),
    "G": (0b01111, 0b10000, 0b10011, 0b10001, 0b01111),
    "H": (0b10001, 0b10001, 0b11111, 0b10001, 0b10001),
    "I": (0b111, 0b010, 0b010, 0b010, 0b111),
    "K": (0b10001, 0b10010, 0b11100, 0b10010, 0b10001),
    "L": (0b10000, 0b10000, 0b10000, 0b10000, 0b11111),
    "M": (0b10001, 0b11011, 0b10101, 0b10001, 0b10001),
    "N": (0b10001, 0b11001, 0b10101, 0b10011, 0b10001),
    "O": (0b01110, 0b10001, 0b10001, 0b10001, 0b01110),
    "P": (0b11110, 0b10001, 0b11110, 0b10000, 0b10000),
    "R": (0b11110, 0b10001, 0b11110, 0b10010, 0b10001),
    "S": (0b01111, 0b10000, 0b01110, 0b00001, 0b11110),
    "T": (0b11111, 0b00100, 0b00100, 0b00100, 0b00100),
    "U": (0b10001, 0b10001, 0b10001, 0b10001, 0b01110),
    "W": (0b10001, 0b10001, 0b10101, 0b11011, 0b10001),
    "Y": (0b10001, 0b01010, 0b00100, 0b00100, 0b00100),
    "Ä": (0b01010, 0b00000, 0b01110, 0b11111, 0b10001),
}
"""Letters of five rows, a bit a cell; I is three wide."""

LETTERS: Final = frozenset(_FONT)
"""Of which a word can be made."""


def look_of(state: str) -> Look:
    """How a role looks; one that is not known looks like a node that does not answer."""
    return LOOKS.get(state, SILENT)


def logo(look: Look, word: str) -> str:
    """Emblem and word, in five lines.

    Args:
        look: whose emblem it is.
        word: of :data:`LETTERS`; small ones are made large.
    """
    rows: list[str] = []
    for row, emblem in enumerate(look.emblem):
        letters = (_row(letter, row) for letter in word.upper())
        rows.append(f"{emblem}   {' '.join(letters)}")
    return "\n".join(rows)


def _row(letter: str, row: int) -> str:
    bits = _FONT.get(letter, (0,) * 5)  # a newer node may know other roles
    width = 3 if letter == "I" else 5
    return f"{bits[row]:0{width}b}".replace("0", " ").replace("1", "█")
