"""The cases, by topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tests.hostile.arena import Case
from tests.hostile.cases import claims, counts, links, names

TOPICS: Final[Mapping[str, Sequence[Case]]] = {
    "names and paths": names.CASES,
    "links, pipes, other names": links.CASES,
    "counts and sizes": counts.CASES,
    "claims, epochs, votes, testaments": claims.CASES,
}
