"""From the names of the configuration to those of units: suffixes and patterns."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from sbs.adapters.services.systemd.bus import Bus
from sbs.errors import ServiceError
from sbs.log import WARNING, Log
from sbs.ports import Unit

SERVICE_SUFFIX: Final = ".service"

_OTHER_KINDS: Final = re.compile(
    r"\.(socket|device|mount|automount|swap|target|path|timer|slice|scope)$"
)
_NAME: Final = re.compile(r"[A-Za-z0-9:_.\\@-]{1,247}")
"""What systemd allows, which is 255 with the suffix."""
_WILD: Final = re.compile(r"[*?\[\]]")

UNFIT: Final = frozenset({"alias", "masked", "masked-runtime", "bad"})
"""States of unit files that a pattern passes over."""

_log = Log(__name__)
_NOTHING = _log.event(
    "unit-pattern-empty",
    WARNING,
    "service {service}: no unit of this node matches",
    "A pattern in `services.unit` names nothing on this machine. Install the unit, or "
    "mend the pattern.",
)


def full_name(name: str) -> str:
    """The unit that a name of the configuration means, or the pattern of units.

    Args:
        name: ``printer-1`` or ``printer-1.service``; ``printer-*`` is a pattern.

    Raises:
        ServiceError: it can name no service of systemd's.
    """
    if match := _OTHER_KINDS.search(name):
        raise ServiceError(
            f"service {name!r}: a {match[1]} cannot be a service of SBS; name the .service units"
        )
    base = name.removesuffix(SERVICE_SUFFIX)
    if not _NAME.fullmatch(_WILD.sub("", base) or "*") or base.endswith("@"):
        raise ServiceError(
            f"service {name!r}: allowed are letters, digits and :_.\\@-, and * ? [] in a pattern; "
            "of a template an instance, as name@1"
        )
    return base + SERVICE_SUFFIX


def is_pattern(name: str) -> bool:
    """Whether a name stands for all units that match it."""
    return _WILD.search(name) is not None


async def find_units(bus: Bus, units: Sequence[Unit]) -> Mapping[str, str]:
    """Full names of units, by the names they are shown with; patterns are replaced by units.

    A unit that a pattern finds is shown without ``.service``, the others as configured.

    Raises:
        ServiceError: a name is wrong.
    """
    found = {unit.name: full_name(unit.name) for unit in units if not is_pattern(unit.name)}
    for unit in units:
        if not is_pattern(unit.name):
            continue
        new = await _matching(bus, full_name(unit.name)) - {*found.values()}
        found |= {name.removesuffix(SERVICE_SUFFIX): name for name in sorted(new)}
        if not new:
            _NOTHING(service=unit.name)
    return found


async def _matching(bus: Bus, pattern: str) -> set[str]:
    """The units that exist: those with a file of their own, and instances that are loaded."""
    (files,) = await bus.call("ListUnitFilesByPatterns", "asas", ([], [pattern]))
    names = {posixpath.basename(path) for path, state in files if state not in UNFIT}
    names |= {row.unit for row in await bus.rows_like(pattern) if row.load == "loaded"}
    return {name for name in names if fnmatchcase(name, pattern) and "@." not in name}
