"""All targets by name; ``docs/testing.md`` says what has none."""

from __future__ import annotations

from typing import Final

from tests.fuzz import (
    disk,
    encryption,
    folders,
    identities,
    local,
    records,
    settings,
    web,
    wire,
    words,
)
from tests.fuzz.contract import Target

_MODULES: Final = (
    *(wire, encryption, identities, words, settings),
    *(records, folders, local, web, disk),
)
TABLE: Final[dict[str, Target]] = {
    target.name: target for module in _MODULES for target in module.TARGETS
}
