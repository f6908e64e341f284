"""What the value of a key may be: one class for each kind of value.

A kind turns what TOML gives into the value of a setting, and describes itself: the same words
stand in the error, in ``docs/configuration.md`` and in a dialog. A value that is already as the
setting holds it is read as itself, so that the same check serves settings made in Python.
"""

from __future__ import annotations

import enum
import re
from gettext import gettext as _
from gettext import ngettext
from typing import Generic, Protocol, TypeVar

import attrs

from sbs.config.text import quoted
from sbs.config.toml import type_name
from sbs.core.address import Address
from sbs.core.manifest import MAX_PATH_BYTES
from sbs.core.printable import literal

MAX_TEXT_CHARS = 1000
"""Longest text of a setting that has no limit of its own: more is a file in the wrong place."""

T_co = TypeVar("T_co", covariant=True)
MemberT = TypeVar("MemberT", bound=enum.Enum)


class Kind(Protocol[T_co]):
    """What a value may be."""

    @property
    def expected(self) -> str:
        """What is allowed, as a noun phrase."""
        ...

    def read(self, raw: object) -> T_co:
        """The setting's value for what stands in the file.

        Raises:
            ValueError: ``raw`` is not allowed; the text says what is.
        """
        ...


def wrong_type(raw: object, expected: str) -> ValueError:
    """The error for a value of the wrong TOML type."""
    text = _("is {type}, expected {expected}")
    return ValueError(text.format(type=type_name(raw), expected=expected))


def not_allowed(expected: str) -> ValueError:
    """The error for a value of the right type that is none of those that are allowed."""
    return ValueError(_("allowed is {expected}").format(expected=expected))


@attrs.frozen
class Flag:
    """A boolean."""

    @property
    def expected(self) -> str:
        """See :attr:`sbs.config.kinds.Kind.expected`."""
        return _("true or false")

    def read(self, raw: object) -> bool:
        """See :meth:`Kind.read`."""
        if not isinstance(raw, bool):
            raise wrong_type(raw, self.expected)
        return raw


@attrs.frozen
class Integer:
    """An integer from ``low`` to ``high``, both included."""

    low: int
    high: int

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        return _("an integer from {low} to {high}").format(low=self.low, high=self.high)

    def read(self, raw: object) -> int:
        """See :meth:`Kind.read`."""
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise wrong_type(raw, self.expected)
        if not self.low <= raw <= self.high:
            raise not_allowed(self.expected)
        return raw


@attrs.frozen
class Number:
    """An integer or a float from ``low`` to ``high``, both included."""

    low: float
    high: float

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        text = _("a number from {low:.15g} to {high:.15g}")
        return text.format(low=self.low, high=self.high)

    def read(self, raw: object) -> float:
        """See :meth:`Kind.read`."""
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise wrong_type(raw, self.expected)
        if not self.low <= raw <= self.high:  # no number compares so with TOML's nan
            raise not_allowed(self.expected)
        return float(raw)


@attrs.frozen(kw_only=True)
class Text:
    """Printable text on one line, that the whole of ``pattern`` matches; ``allowed`` says which."""

    allowed: str = f"a string of at most {MAX_TEXT_CHARS} printable characters"
    pattern: str = f".{{0,{MAX_TEXT_CHARS}}}"

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        return _(self.allowed)

    def read(self, raw: object) -> str:
        """See :meth:`Kind.read`."""
        if not isinstance(raw, str):
            raise wrong_type(raw, self.expected)
        # A line break would end a mail header, a control sequence would reach a terminal.
        if not raw.isprintable() or re.fullmatch(self.pattern, raw) is None:
            raise not_allowed(self.expected)
        return raw


@attrs.frozen(kw_only=True)
class Path:
    """A file or directory; one that is relative begins at the configuration's directory."""

    optional: bool = False

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        return _("a path, or an empty string for none") if self.optional else _("a path")

    def read(self, raw: object) -> str:
        """See :meth:`Kind.read`."""
        if not isinstance(raw, str):
            raise wrong_type(raw, self.expected)
        if not (raw or self.optional):
            raise ValueError(_("allowed is a path that is not empty"))
        if "\0" in raw or len(raw.encode("utf-8", "surrogateescape")) > MAX_PATH_BYTES:
            text = _("allowed is a path without NUL, of at most {limit} bytes")
            raise ValueError(text.format(limit=MAX_PATH_BYTES))
        return raw


@attrs.frozen
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        return _any_of(self.words)

    def read(self, raw: object) -> str:
        """See :meth:`Kind.read`."""
        if not isinstance(raw, str):
            raise wrong_type(raw, self.expected)
        if raw not in self.words:
            raise none_of(self.words)
        return raw


@attrs.frozen
class Member(Generic[MemberT]):
    """The word of one member of an enumeration."""

    type: type[MemberT]

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        return _any_of(self.words)

    @property
    def words(self) -> tuple[str, ...]:
        """Those of all members."""
        return tuple(str(member.value) for member in self.type)

    def read(self, raw: object) -> MemberT:
        """See :meth:`Kind.read`."""
        if isinstance(raw, self.type):
            return raw
        if not isinstance(raw, str):
            raise wrong_type(raw, self.expected)
        if raw not in self.words:
            raise none_of(self.words)
        return self.type(raw)


def _any_of(words: tuple[str, ...]) -> str:
    *most, last = map(quoted, words)
    return _("{words} or {last}").format(words=", ".join(most), last=last) if most else last


def none_of(words: tuple[str, ...]) -> ValueError:
    """The error for a string that is none of ``words``."""
    text = ngettext("allowed is {words}", "allowed are {words}", len(words))
    return ValueError(text.format(words=", ".join(map(quoted, words))))


@attrs.frozen(kw_only=True)
class Place:
    """A network address; ``any_port``: port 0 stands for any free one."""

    any_port: bool = False

    @property
    def expected(self) -> str:
        """See :attr:`Kind.expected`."""
        return _("host, host:port, [IPv6] or [IPv6]:port")

    def read(self, raw: object) -> Address:
        """See :meth:`Kind.read`."""
        match raw:
            case Address():
                address = raw
            case str():
                try:
                    address = Address.parse(raw)
                except ValueError as error:
                    raise ValueError(str(error).removeprefix(f"{literal(raw)}: ")) from None
            case _:
                raise wrong_type(raw, _("an address: {forms}").format(forms=self.expected))
        if address.port == 0 and not self.any_port:
            raise ValueError(_("port 0 cannot be reached; allowed are ports from 1 to 65535"))
        return address
