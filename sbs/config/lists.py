"""Kinds of values that are arrays, and the few that only one key has."""

from __future__ import annotations

from collections.abc import Sequence
from gettext import gettext as _
from importlib.metadata import entry_points
from typing import Generic, TypeVar

import attrs

from sbs.config.kinds import Kind, Path, none_of, not_allowed, wrong_type
from sbs.config.toml import is_array, type_name
from sbs.core.filters import Filter
from sbs.core.guard import Limit

MAX_ITEMS = 1000
"""Longest array of a setting: as many as a folder may have filters."""

MAX_ARGUMENT_CHARS = 32_768
"""Longest argument of a command: below Linux's ``MAX_ARG_STRLEN``, and Windows's command line."""

T = TypeVar("T")


def too_many(raw: Sequence[object], limit: int) -> ValueError:
    """The error for an array that is longer than is allowed."""
    text = _("has {count} items, allowed are at most {limit}")
    return ValueError(text.format(count=len(raw), limit=limit))


def again(number: int, first: int) -> ValueError:
    """The error for an item that stands in its array before, both counted from 0."""
    text = _("item {number} is item {first} again; allowed are items that differ")
    return ValueError(text.format(number=number + 1, first=first + 1))


def _items(raw: object, expected: str) -> Sequence[object]:
    if not is_array(raw):
        raise wrong_type(raw, expected)
    if len(raw) > MAX_ITEMS:
        raise too_many(raw, MAX_ITEMS)
    return raw


@attrs.frozen
class Array(Generic[T]):
    """An array whose items are all of one kind; ``noun`` names them in the plural."""

    item: Kind[T]
    noun: str

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        return _("an array of {items}").format(items=_(self.noun))

    def read(self, raw: object) -> tuple[T, ...]:
        """See :meth:`Kind.read`."""
        return tuple(
            self._read_item(number, item)
            for number, item in enumerate(_items(raw, self.expected), 1)
        )

    def _read_item(self, number: int, raw: object) -> T:
        try:
            return self.item.read(raw)
        except ValueError as error:
            text = _("item {number}: {problem}")
            raise ValueError(text.format(number=number, problem=error)) from None


@attrs.frozen
class Paths:
    """An array of directories, each as :class:`~sbs.config.kinds.Path` says."""

    @property
    def expected(self) -> str:
        """See :attr:`sbs.config.kinds.Kind.expected`."""
        return _("an array of paths")

    def read(self, raw: object) -> tuple[str, ...]:
        """See :meth:`Kind.read`."""
        return Array(Path(), "paths").read(raw)


@attrs.frozen(kw_only=True)
class Command:
    """Program and arguments."""

    optional: bool = False

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        if self.optional:
            return _("an array of strings, program first, or []")
        return _("an array of strings, program first")

    def read(self, raw: object) -> tuple[str, ...]:
        """See :meth:`Kind.read`."""
        items = _items(raw, self.expected)
        words: list[str] = []
        for number, item in enumerate(items, 1):
            if not isinstance(item, str):
                raise _no_string(number, item)
            if "\0" in item or len(item) > MAX_ARGUMENT_CHARS:
                text = _(
                    "item {number}: allowed is a string without NUL, of at most {limit} characters"
                )
                raise ValueError(text.format(number=number, limit=MAX_ARGUMENT_CHARS))
            words.append(item)
        if not (words[0] if words else self.optional):
            text = _("names no program, expected {expected}")
            raise ValueError(text.format(expected=self.expected))
        return tuple(words)


def _no_string(number: int, item: object) -> ValueError:
    text = _("item {number} is {type}, expected a string")
    return ValueError(text.format(number=number, type=type_name(item)))


@attrs.frozen
class Filters:
    """Ordered include and exclude rules, see :mod:`sbs.core.filters`."""

    @property
    def expected(self) -> str:
        """See :attr:`sbs.config.kinds.Kind.expected`."""
        return _('an array of rules, each "+ PATTERN" or "- PATTERN"')

    def read(self, raw: object) -> tuple[str, ...]:
        """See :meth:`Kind.read`."""
        rules: list[str] = []
        for number, item in enumerate(_items(raw, self.expected), 1):
            if not isinstance(item, str):
                raise _no_string(number, item)
            rules.append(item)
        Filter.parse(tuple(rules))
        return tuple(rules)


@attrs.frozen
class DeleteLimit:
    """How many deletes an update may hold: a count, a share of the files, or no limit."""

    @property
    def expected(self) -> str:
        """See :attr:`sbs.config.kinds.Kind.expected`."""
        return _('"off", a share from "0%" to "100%", or a count from 0')

    def read(self, raw: object) -> str | int:
        """See :meth:`Kind.read`."""
        if isinstance(raw, bool) or not isinstance(raw, str | int):
            raise wrong_type(raw, self.expected)
        try:
            Limit.parse(raw)
        except ValueError:
            raise not_allowed(self.expected) from None
        return raw


@attrs.frozen
class ByteRate:
    """Bytes in a second, or 0 for no limit."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        return _("0, or an integer from {low} to {high}").format(low=self.low, high=self.high)

    def read(self, raw: object) -> int:
        """See :meth:`Kind.read`."""
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise wrong_type(raw, self.expected)
        if raw and not self.low <= raw <= self.high:
            raise not_allowed(self.expected)
        return raw


@attrs.frozen
class Installed:
    """The name of an installed entry point (B30), or one that needs none.

    Args:
        group: of entry points.
        allowed: what the name is of.
        built_in: here even where SBS runs from its sources, not installed.
    """

    group: str
    allowed: str
    built_in: frozenset[str] = frozenset()

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        return _(self.allowed)

    @property
    def words(self) -> tuple[str, ...]:
        """The names of those that are."""
        names = self.built_in.union(point.name for point in entry_points(group=self.group))
        return tuple(sorted(names))

    def read(self, raw: object) -> str:
        """See :meth:`Kind.read`."""
        if not isinstance(raw, str):
            raise wrong_type(raw, self.expected)
        if raw not in self.words:
            text = _("no such adapter is installed; {allowed}")
            raise ValueError(text.format(allowed=none_of(self.words)))
        return raw
