"""What an administrator is told of something that a program calls by one word."""

from __future__ import annotations

import attrs


@attrs.frozen
class Explanation:
    """Why something is so, and what an administrator does about it: sentences in plain words.

    A page is named by its path, such as ``docs/mail.md``; a command stands in backticks.
    """

    cause: str
    remedy: str
