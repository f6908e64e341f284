"""All targets by name, and which decoders have none, with the reason."""

from __future__ import annotations

from typing import Final

from tests.fuzz import folders, local, records, settings, wire, words
from tests.fuzz.contract import Target

TABLE: Final[dict[str, Target]] = {
    target.name: target
    for module in (wire, words, settings, records, folders, local)
    for target in module.TARGETS
}
