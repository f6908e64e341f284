"""Between what a person types and what stands in the file."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from gettext import gettext as _
from gettext import pgettext
from typing import Final

import attrs

from sbs.config.declare import Declaration, Key, Section
from sbs.config.endpoints import Endpoints
from sbs.config.kinds import Choice, Flag, Integer, Kind, Member, Number
from sbs.config.lists import Array, ByteRate, Command, DeleteLimit, Filters, Installed, Paths
from sbs.config.mail import Different
from sbs.config.problems import KeyPath
from sbs.config.settings import FILE
from sbs.config.text import quoted, shown
from sbs.config.toml import is_array

_LISTS: Final = (Array, Command, Different, Endpoints, Filters, Paths)
_NUMBERS: Final = (ByteRate, DeleteLimit, Integer, Number)
_FLAGS: Final = {"yes": True, "no": False}


@attrs.frozen(kw_only=True)
class Setting:
    """One key as the dialog offers it.

    Args:
        path: where it stands in the file.
        key: its declaration.
        value: what counts without it; :data:`attrs.NOTHING` if it is required.
    """

    path: KeyPath
    key: Key
    value: object

    @property
    def default(self) -> str:
        """What counts without it, in words; empty if it is required."""
        return _default(self.key, self.value)

    @property
    def name(self) -> str:
        """What it is called inside its table."""
        return str(self.path[-1])

    @property
    def words(self) -> tuple[str, ...]:
        """What it is chosen from; empty where it is typed."""
        match self.key.kind:
            case Flag():
                return tuple(_FLAGS)
            case Choice(words=words) | Member(words=words) | Installed(words=words):
                return words
            case _:
                return ()

    def label(self, word: str) -> str:
        """How one of :attr:`words` is shown: those of the file are no language's."""
        return _(word) if isinstance(self.key.kind, Flag) else word

    @property
    def expected(self) -> str:
        """What is allowed, as it is typed."""
        return _("yes or no") if isinstance(self.key.kind, Flag) else self.key.kind.expected

    def raw(self, text: str) -> object:
        """The value that a typed text stands for, as TOML would give it.

        Raises:
            ValueError: it is not allowed; the text says what is.
        """
        value = _raw(self.key.kind, text)
        self.key.kind.read(value)
        return value

    def text(self, raw: object) -> str:
        """A value of the file as it is typed; empty for none."""
        if raw is None:
            return ""
        if isinstance(raw, bool):
            return "yes" if raw else "no"
        if is_array(raw):
            return _listed(raw, self.key.kind)
        return raw if isinstance(raw, str) else str(raw)


def settings_of(path: KeyPath) -> tuple[Setting, ...]:
    """The keys of one table, in the order of their declaration.

    Args:
        path: such as ``("node",)`` or ``("folders", 0)``.
    """
    found: Declaration = FILE
    for step in path:
        if isinstance(step, str) and isinstance(found, Section):
            found = found.declarations[step]
    if not isinstance(found, Section):
        raise TypeError(f"{path} is no table")
    fields = attrs.fields_dict(found.type)
    return tuple(
        Setting(path=(*path, name), key=key, value=fields[name].default)
        for name, key in found.declarations.items()
        if isinstance(key, Key)
    )


def setting(*path: str | int) -> Setting:
    """One key."""
    return next(each for each in settings_of(path[:-1]) if each.path == path)


def _default(key: Key, value: object) -> str:
    if key.default:
        return _(key.default).replace("`", "")
    if value is attrs.NOTHING:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value in ("", (), None):
        return pgettext("default", "none")
    if isinstance(value, float):
        return f"{value:.15g}"
    return _listed(value, key.kind) if is_array(value) else shown(value).strip('"')


def _raw(kind: Kind[object], text: str) -> object:
    if isinstance(kind, Flag):
        return _FLAGS.get(text, text)
    if isinstance(kind, _NUMBERS):
        return _number(text.strip())
    if isinstance(kind, _LISTS):
        return _list(text.strip())
    return text


def _number(text: str) -> object:
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _list(text: str) -> object:
    """Items with commas between them, or an array of TOML, which alone can hold anything."""
    if not text.startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except ValueError:
        raise ValueError(_('allowed is a, b, c or an array such as ["a", "b"]')) from None


def _listed(items: Sequence[object], kind: Kind[object]) -> str:
    texts = [item for item in items if isinstance(item, str)]
    text = ", ".join(texts)
    if not isinstance(kind, Command) and _list(text) == list(items):
        return text
    return _array(items)


def _array(value: object) -> str:
    if is_array(value):
        return f"[{', '.join(map(_array, value))}]"
    return quoted(value) if isinstance(value, str) else shown(value)
