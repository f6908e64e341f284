"""All that SBS says to people, and the catalogues that translate it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Final

import click
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from sbs.cli import SECTIONS, main
from sbs.cli.help import paragraphs, remarks
from sbs.cli.language import DOMAIN, LOCALES
from sbs.cli.reference import walk
from sbs.config.declare import Section
from sbs.config.kinds import Text
from sbs.config.lists import Array, Installed
from sbs.config.mail import Different
from sbs.config.settings import FILE
from sbs.core.alarm import ALARMS
from sbs.core.claim import Role
from sbs.core.progress import Phase
from sbs.core.role.model import State
from sbs.dialog import node
from sbs.dialog.app import Dialog
from sbs.dialog.screens import Question, Report
from tests.errors.tree import classes
from tests.support import ROOT

LANGUAGES: Final = tuple(sorted(path.name for path in LOCALES.iterdir() if path.is_dir()))

SPEAKING: Final = ("sbs/cli", "sbs/config", "sbs/dialog")
"""Packages that call gettext."""

KEYWORDS: Final = {"_": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}

WIDTH: Final = 100
"""Of a line in a catalogue."""

_LEFT_OUT: Final = tuple(
    f'"{name}:'
    for name in (
        "Report-Msgid-Bugs-To",
        "POT-Creation-Date",
        "PO-Revision-Date",
        "Last-Translator",
        "Language-Team",
        "Generated-By",
    )
)
"""Headers that neither gettext nor a translator needs."""


def template() -> Catalog:
    """Every sentence, in the order of the sources, without its translation."""
    found = Catalog(domain=DOMAIN, charset="utf-8")
    places = {name: ROOT / name for name in SPEAKING} | {"click": Path(click.__file__).parent}
    for package, directory in places.items():
        for path, _line, sentence, notes, context in extract_from_dir(
            directory, [("**.py", "python")], keywords=KEYWORDS, comment_tags=("Translators:",)
        ):
            where = [(f"{package}/{path}", 0)]
            found.add(sentence, locations=where, auto_comments=notes, context=context)
    for sentence, source in declared():
        if sentence:
            found.add(sentence, locations=[(source, 0)])
    return found


def declared() -> Iterator[tuple[str, str]]:
    """What is translated where it is shown, and stands in a table: no call of gettext names it."""
    for screen in (Dialog, Question, Report):
        for binding in screen.BINDINGS:
            yield getattr(binding, "description", ""), "sbs/dialog"
    yield from ((title, "sbs/cli") for title in SECTIONS)
    for _, command in walk(main):
        yield from ((text, "sbs/cli") for text in _helps(command))
    yield from ((each.remedy, "sbs/errors.py") for each in classes())
    for why in ALARMS.values():
        yield why.cause, "sbs/core/alarm.py"
        yield why.remedy, "sbs/core/alarm.py"
    yield from _settings(FILE, "sbs/config")
    for role in (*(state.value for state in State), *(role.value for role in Role), node.SILENT):
        yield role, "sbs/core/claim.py"
    for kind in ("file", "link", "blocks"):
        yield kind, "sbs/replication/former/past.py"
    for phase in Phase:
        yield phase.value, "sbs/core/progress.py"


def _helps(command: click.Command) -> Iterator[str]:
    yield from paragraphs(command.help or "")
    for line in (command.epilog or "").splitlines():
        yield remarks(line)[1]
    for param in command.params:
        yield getattr(param, "help", None) or ""
        if isinstance(default := getattr(param, "show_default", None), str):
            yield default


def _settings(section: Section, place: str) -> Iterator[tuple[str, str]]:
    yield section.help, place
    for declaration in section.declarations.values():
        if isinstance(declaration, Section):
            yield from _settings(declaration, place)
        else:
            yield declaration.help, place
            yield declaration.default, place
            yield from ((text, place) for text in _allowed(declaration.kind))


def _allowed(kind: object) -> Iterator[str]:
    match kind:
        case Text(allowed=allowed) | Installed(allowed=allowed):
            yield allowed
        case Array(item=item, noun=noun):
            yield noun
            yield from _allowed(item)
        case Different(array=array):
            yield from _allowed(array)
        case _:
            return


def read(language: str) -> Catalog:
    """A catalogue as it stands in the sources."""
    with place(language, "po").open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN, abort_invalid=True)


def write(language: str, catalogue: Catalog) -> None:
    """Replace a catalogue; its comments stay, and no date that would only make conflicts."""
    buffer = io.BytesIO()
    write_po(buffer, catalogue, width=WIDTH, include_lineno=False)
    lines = buffer.getvalue().decode().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(_LEFT_OUT)]
    place(language, "po").write_text("".join(kept), encoding="utf-8")


def compiled(language: str) -> None:
    """Compile a catalogue for gettext, which reads nothing else."""
    with place(language, "mo").open("wb") as file:
        write_mo(file, read(language))


def missing(catalogue: Catalog) -> Iterator[str]:
    """What has no translation, or one that nobody has looked at."""
    for message in catalogue:
        if message.id and (message.fuzzy or not all(texts(message.string))):
            yield texts(message.id)[0]


def texts(sentence: object) -> tuple[str, ...]:
    """One sentence, or those for one and for many."""
    return (sentence,) if isinstance(sentence, str) else tuple(sentence or ("",))  # type: ignore[arg-type]


def fields(sentence: str) -> set[str]:
    """The names of what :meth:`str.format` puts into a sentence."""
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def messages(catalogue: Catalog) -> Iterator[Message]:
    """All but the header."""
    return (message for message in catalogue if message.id)


def place(language: str, ending: str) -> Path:
    """The file of a catalogue: ``po`` for people, ``mo`` for gettext."""
    return LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.{ending}"
