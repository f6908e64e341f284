"""Adapters are found by name, through the entry points of installed packages (B30)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from sbs.errors import ConfigError


def installed(group: str) -> Mapping[str, EntryPoint]:
    """The adapters of a group, by name; none of them is imported.

    Args:
        group: of entry points, such as ``sbs.services``.
    """
    return {point.name: point for point in entry_points(group=group)}


def load(group: str, key: str, name: str) -> Callable[..., Any]:
    """Import an adapter.

    Args:
        group: of entry points.
        key: of the configuration that names the adapter, for errors.
        name: of the entry point.

    Raises:
        ConfigError: none of that name is installed, or it cannot be imported.
    """
    points = installed(group)
    if name not in points:
        known = ", ".join(sorted(points)) or "none; install SBS as a package"
        raise ConfigError(f"{key} = {name!r}: installed adapters are: {known}")
    try:
        factory: object = points[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{key} = {name!r}: {points[name].value} cannot be imported: {error}"
            f"{_advice(points[name])}"
        ) from error
    if not callable(factory):
        raise ConfigError(f"{key} = {name!r}: {points[name].value} is not callable")
    return factory


def _advice(point: EntryPoint) -> str:
    """What to install, if the adapter's package has an extra of the adapter's or group's name."""
    extras = point.dist.metadata.get_all("Provides-Extra", []) if point.dist else []
    for name in (point.name, point.group.rpartition(".")[2].removesuffix("s")):
        if point.dist is not None and name in extras:
            return f"; install {point.dist.name}[{name}]"
    return ""
