"""Notifier adapters, found through the entry points of the group ``sbs.notifiers`` (B50)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import cast

from sbs.adapters import loading
from sbs.ports import NotifierFactory

GROUP = "sbs.notifiers"
"""Where packages announce their adapters."""


def installed() -> Mapping[str, EntryPoint]:
    """The adapters that can be named as ``mail.adapter``; none of them is imported."""
    return loading.installed(GROUP)


def load(name: str) -> NotifierFactory:
    """Import an adapter.

    Args:
        name: of an entry point in :data:`GROUP`.

    Raises:
        ConfigError: none of that name is installed, or it cannot be imported.
    """
    return cast("NotifierFactory", loading.load(GROUP, "mail.adapter", name))
