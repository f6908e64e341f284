"""The cases, by topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tests.hostile.case import Case
from tests.hostile.cases import (
    claims,
    contents,
    counts,
    endings,
    folders,
    handshakes,
    links,
    names,
    texts,
)

TOPICS: Final[Mapping[str, Sequence[Case]]] = {
    "names and paths": names.CASES,
    "links, pipes, other names": links.CASES,
    "counts and sizes": counts.CASES,
    "claims, epochs, votes, testaments": claims.CASES,
    "folders and filters": folders.CASES,
    "contents and deletes": contents.CASES,
    "texts for people": texts.CASES,
    "endings, floods, listings": endings.CASES,
    "handshakes and plain bytes": handshakes.CASES,
}
