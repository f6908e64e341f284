"""How a class of settings declares its keys: one place for type, default, range and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from sbs.config.kinds import Kind

_DECLARATION = "sbs.config"


@attrs.frozen(kw_only=True)
class Key:
    """One key of a section.

    Args:
        kind: what its value may be.
        help: what it means, one or two sentences.
        default: the default in words, where it is no constant.
        sensitive: its value may hold a secret, and never stands in an error.
    """

    kind: Kind[object]
    help: str
    default: str = ""
    sensitive: bool = False


@attrs.frozen(kw_only=True)
class Section:
    """A table of keys, or (``many``) an array of such tables; ``type`` is the class of one."""

    type: type
    help: str
    many: bool = False


Declaration: TypeAlias = Key | Section


def key(
    kind: Kind[object],
    help: str,  # noqa: A002 - argparse's word
    *,
    default: str = "",
    sensitive: bool = False,
) -> dict[str, Key]:
    """The metadata of a field that is a key, see :class:`Key`."""
    return {_DECLARATION: Key(kind=kind, help=help, default=default, sensitive=sensitive)}


def section(type: type, help: str, *, many: bool = False) -> dict[str, Section]:  # noqa: A002 - as above
    """The metadata of a field that is a section, see :class:`Section`."""
    return {_DECLARATION: Section(type=type, help=help, many=many)}


def declared(type: type) -> Mapping[str, Declaration]:  # noqa: A002 - as above
    """The keys and sections of a class of settings, in their order."""
    own: Mapping[str, Declaration] | None = _ELSEWHERE.get(type)
    if own is not None:
        return own
    return {
        field.name: field.metadata[_DECLARATION]
        for field in attrs.fields(type)
        if _DECLARATION in field.metadata
    }


_ELSEWHERE: dict[type, Mapping[str, Declaration]] = {}


def declare(type: type, keys: Mapping[str, Mapping[str, Declaration]]) -> None:  # noqa: A002 - as above
    """Declare the keys of a class that knows nothing of configuration files."""
    _ELSEWHERE[type] = {name: metadata[_DECLARATION] for name, metadata in keys.items()}


def checked(_type: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """A ``field_transformer``: values given in Python pass the same check as those of a file."""
    return [
        field.evolve(validator=_check)
        if isinstance(field.metadata.get(_DECLARATION), Key)
        else field
        for field in fields
    ]


def _check(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    declaration: Key = attribute.metadata[_DECLARATION]
    if value == attribute.default:  # the default of an optional key need not be of its kind
        return
    try:
        declaration.kind.read(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None
