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
    """A table of keys, or an array of such tables.

    Args:
        type: the class that one table becomes.
        help: what it is for, one sentence.
        many: an array of tables.
        declarations: its keys, and the sections inside it, in their order.
    """

    type: type
    help: str
    many: bool = False
    declarations: Mapping[str, Declaration]


Declaration: TypeAlias = Key | Section


def key(
    kind: Kind[object],
    help: str,  # noqa: A002 - the field's name
    *,
    default: str = "",
    sensitive: bool = False,
) -> dict[str, Declaration]:
    """The metadata of a field that is a key, see :class:`Key`."""
    return {_DECLARATION: Key(kind=kind, help=help, default=default, sensitive=sensitive)}


def section(
    type: type,  # noqa: A002 - the field's name
    help: str,  # noqa: A002 - the field's name
    *,
    many: bool = False,
    keys: Mapping[str, Mapping[str, Declaration]] | None = None,
) -> dict[str, Declaration]:
    """The metadata of a field that is a section, see :class:`Section`.

    Args:
        type: a class whose fields bear such metadata.
        help: what the section is for.
        many: an array of tables.
        keys: the metadata of each field, where ``type`` itself knows nothing of configuration.
    """
    if keys is None:
        keys = {field.name: field.metadata for field in attrs.fields(type)}
    declarations = {
        name: metadata[_DECLARATION] for name, metadata in keys.items() if _DECLARATION in metadata
    }
    return {_DECLARATION: Section(type=type, help=help, many=many, declarations=declarations)}


def root(type: type, help: str) -> Section:  # noqa: A002 - the fields' names
    """The section that the whole file is."""
    found = section(type, help)[_DECLARATION]
    assert isinstance(found, Section)
    return found


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
