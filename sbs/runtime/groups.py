"""Exception groups, flattened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar, cast

from sbs.errors import SbsError

E = TypeVar("E", bound=BaseException)


def leaves(group: BaseExceptionGroup[E]) -> Iterator[E]:
    """The exceptions in a group, however deep they are nested."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(cast(BaseExceptionGroup[E], error))
        else:
            yield error


def plain(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What to raise instead of ``group``: its first error of SBS, if it holds no other kind."""
    ours, others = group.split(SbsError)
    return group if ours is None or others is not None else next(leaves(ours))
