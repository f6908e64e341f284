"""Service adapters, found by name through the entry points of the group ``sbs.services`` (B30)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from sbs.errors import ConfigError
from sbs.ports import ServiceFactory

GROUP = "sbs.services"
"""Where packages announce their adapters."""


def installed() -> Mapping[str, EntryPoint]:
    """The adapters that can be named as ``services.adapter``; none of them is imported."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load(name: str) -> ServiceFactory:
    """Import an adapter.

    Args:
        name: of an entry point in :data:`GROUP`.

    Raises:
        ConfigError: none of that name is installed, or it cannot be imported.
    """
    points = installed()
    if name not in points:
        known = ", ".join(sorted(points)) or "none; install SBS as a package"
        raise ConfigError(f"services.adapter = {name!r}: installed adapters are: {known}")
    try:
        factory: object = points[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"services.adapter = {name!r}: {points[name].value} cannot be imported: {error}"
        ) from error
    if not callable(factory):
        raise ConfigError(f"services.adapter = {name!r}: {points[name].value} is not callable")
    return cast("ServiceFactory", factory)
