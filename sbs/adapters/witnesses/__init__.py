"""Witness adapters, found through the entry points of the group ``sbs.witnesses`` (B3)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import cast

from sbs.adapters import loading
from sbs.ports import WitnessFactory

GROUP = "sbs.witnesses"
"""Where packages announce their adapters."""


def installed() -> Mapping[str, EntryPoint]:
    """The adapters that can be named as ``witness.adapter``; none of them is imported."""
    return loading.installed(GROUP)


def load(name: str) -> WitnessFactory:
    """Import an adapter.

    Args:
        name: of an entry point in :data:`GROUP`.

    Raises:
        ConfigError: none of that name is installed, or it cannot be imported.
    """
    return cast("WitnessFactory", loading.load(GROUP, "witness.adapter", name))
