"""Texts of others, made safe for a terminal and for a mail."""

from __future__ import annotations


def plain(text: str) -> str:
    """``text`` on one line, without control characters.

    File names and what a peer says may hold anything, also what a terminal obeys; such
    characters are shown as Python escapes.
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()
