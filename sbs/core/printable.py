"""Texts of others, made safe for a terminal and for a mail."""

from __future__ import annotations

from typing import Final

MAX_QUOTED: Final = 300
"""Characters of a text of others in an error: whole numbers and short texts are quoted in full."""


def plain(text: str) -> str:
    """``text`` on one line, without control characters.

    File names and what a peer says may hold anything, also what a terminal obeys; such
    characters are shown as Python escapes.
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def quoted(text: str) -> str:
    """The beginning of ``text``, as :func:`plain`, for an error that may stand in a log."""
    return plain(text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}...")


def _visible(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()
