"""The tree of errors: each class that SBS has, wherever it is defined."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Sequence

import sbs
from sbs.errors import SbsError


@functools.cache
def classes() -> Sequence[type[SbsError]]:
    """All that have a public name, each below its parent, those of one parent by their names."""
    for module in pkgutil.walk_packages(sbs.__path__, "sbs."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if "windows" not in module.name:  # the rest of it has no class of errors
                    raise AssertionError(module.name) from error
    return [*_below(SbsError)]


def _below(parent: type[SbsError]) -> Iterator[type[SbsError]]:
    yield parent
    for child in sorted(parent.__subclasses__(), key=lambda each: each.__name__):
        if child.__module__.startswith("sbs.") and not child.__name__.startswith("_"):
            yield from _below(child)


def cause(error: type[SbsError]) -> str:
    """The first sentence of its docstring, on one line."""
    words = " ".join((error.__doc__ or "").split("\n\n")[0].split())
    return words.replace("``", "`")
