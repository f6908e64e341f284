"""The reference of all keys, in Markdown, made from their declarations."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from sbs.config.declare import Key, Section, declared
from sbs.config.settings import Config
from sbs.config.text import shown


def reference() -> str:
    """Every section with a table of its keys, as ``docs/configuration.md`` shows it."""
    return "\n".join(_sections("", Config))


def _sections(prefix: str, inside: type) -> Iterator[str]:
    for name, declaration in declared(inside).items():
        if isinstance(declaration, Section):
            title = f"{prefix}{name}"
            yield f"### `{f'[[{title}]]' if declaration.many else f'[{title}]'}`\n"
            yield f"{declaration.help}\n"
            yield "| key | default | allowed | meaning |"
            yield "| --- | --- | --- | --- |"
            yield from _rows(declaration.type)
            yield ""
            yield from _sections(f"{title}.", declaration.type)


def _rows(section: type) -> Iterator[str]:
    fields = attrs.fields_dict(section)
    for name, declaration in declared(section).items():
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
