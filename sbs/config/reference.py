"""The reference of all keys, in Markdown, made from their declarations."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from sbs.config.declare import Key, Section
from sbs.config.settings import FILE
from sbs.config.text import shown


def reference() -> str:
    """Every section with a table of its keys, as ``docs/configuration.md`` shows it."""
    return "\n".join(_sections("", FILE))


def _sections(prefix: str, inside: Section) -> Iterator[str]:
    for name, declaration in inside.declarations.items():
        if isinstance(declaration, Section):
            title = f"{prefix}{name}"
            yield f"### `{f'[[{title}]]' if declaration.many else f'[{title}]'}`\n"
            yield f"{declaration.help}\n"
            yield "| key | default | allowed | meaning |"
            yield "| --- | --- | --- | --- |"
            yield from _rows(declaration)
            yield ""
            yield from _sections(f"{title}.", declaration)


def _rows(section: Section) -> Iterator[str]:
    fields = attrs.fields_dict(section.type)
    for name, declaration in section.declarations.items():
        if isinstance(declaration, Key):
            cells = (
                f"`{name}`",
                _default(declaration, fields[name]),
                declaration.kind.expected,
                declaration.help,
            )
            yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(declaration: Key, field: attrs.Attribute[object]) -> str:
    if declaration.default:
        return declaration.default
    return "required" if field.default is attrs.NOTHING else f"`{shown(field.default)}`"
