"""Texts of others, made safe for a terminal and for a mail."""

from __future__ import annotations

from typing import Final

MAX_QUOTED: Final = 300
"""Characters of a text of others in an error, escapes and all: whole numbers and short texts are
quoted in full."""

MAX_LITERAL: Final = 100
"""Characters of a text of others, escapes and all, in a message that goes on after it: more hide
what is allowed."""


def plain(text: str) -> str:
    """``text`` on one line, without control characters.

    File names and what a peer says may hold anything, also what a terminal obeys; such
    characters are shown as Python escapes.
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def quoted(text: str) -> str:
    """The beginning of ``text``, as :func:`plain`, for an error that may stand in a log."""
    shown = plain(text[: MAX_QUOTED + 1])  # an escape takes up to ten characters for one
    return shown if len(shown) <= MAX_QUOTED else f"{shown[:MAX_QUOTED]}..."


def literal(text: str) -> str:
    """The beginning of ``text`` as a Python literal, for an error that says what is allowed."""
    shown = repr(text[: MAX_LITERAL + 1])  # an escape takes up to ten characters for one
    quote = shown[0]
    return shown if len(shown) <= MAX_LITERAL + 2 else f"{shown[: MAX_LITERAL + 1]}...{quote}"


def _visible(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()
