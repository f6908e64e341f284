"""``python -m tests.hostile`` prints how many cases there are, for ``docs/testing.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.hostile.case import Case
from tests.hostile.cases import TOPICS


def table() -> str:
    """In Markdown: a row for each topic, and their sum."""
    return "\n".join(_rows()) + "\n"


def _rows() -> Iterator[str]:
    yield "| topic | hostile primary | hostile secondary | before a hello |"
    yield "| --- | --- | --- | --- |"
    sums = [0, 0, 0]
    for topic, cases in TOPICS.items():
        counts = [sum(_column(case) == column for case in cases) for column in range(3)]
        sums = [one + other for one, other in zip(sums, counts, strict=True)]
        yield f"| {topic} | {' | '.join(map(str, counts))} |"
    yield f"| together {sum(sums)} | {' | '.join(map(str, sums))} |"


def _column(case: Case) -> int:
    if not case.at.in_session:
        return 2
    return 0 if case.at.leads else 1


if __name__ == "__main__":
    sys.stdout.write(table())
