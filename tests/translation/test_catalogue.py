"""The catalogues hold all that is said, and nothing else; what they put into it is what belongs."""

from __future__ import annotations

import ast
import gettext
from collections.abc import Iterator
from io import BytesIO
from typing import TypeGuard

import pytest
from babel.messages.mofile import read_mo, write_mo

from sbs.cli import language, main
from sbs.cli.help import MAX_SUMMARY_CHARS, paragraphs
from sbs.cli.reference import walk
from tests.support import ROOT
from tests.translation.catalogue import (
    KEYWORDS,
    LANGUAGES,
    SPEAKING,
    fields,
    messages,
    missing,
    place,
    read,
    template,
    texts,
)

MEND = "python -m tests.translation, then translate what it names in sbs/locales"


def test_there_is_german() -> None:
    assert "de" in LANGUAGES


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_catalogue_holds_what_is_said_and_nothing_else(name: str) -> None:
    found, wanted = read(name), template()
    have = {(each.context, texts(each.id)) for each in messages(found)}
    said = {(each.context, texts(each.id)) for each in messages(wanted)}
    assert said - have == set(), MEND
    assert have - said == set(), MEND
    assert not found.obsolete, MEND
    assert list(missing(found)) == [], MEND


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_translation_puts_in_what_the_sentence_does(name: str) -> None:
    for each in messages(read(name)):
        wanted = [fields(text) for text in texts(each.id)]  # for one and for many
        for text in texts(each.string):
            assert fields(text) in wanted, text


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_catalogue_is_compiled(name: str) -> None:
    buffer = BytesIO()
    write_mo(buffer, read(name))
    buffer.seek(0)
    with place(name, "mo").open("rb") as file:
        found, wanted = (
            {(each.context, texts(each.id)): texts(each.string) for each in messages(catalogue)}
            for catalogue in (read_mo(file), read_mo(buffer))
        )
    assert found == wanted, MEND


@pytest.mark.parametrize("name", LANGUAGES)
def test_the_list_of_all_commands_cuts_none(name: str) -> None:
    catalogue = read(name)
    for _, command in walk(main):
        message = catalogue.get(paragraphs(command.help or "")[0])
        assert message is not None
        assert len(str(message.string)) <= MAX_SUMMARY_CHARS, message.string


def test_no_sentence_is_hidden_in_an_f_string() -> None:
    """Where babel does not find it, and what is put in is put in before it is translated."""
    for package in SPEAKING:
        for path in (ROOT / package).rglob("*.py"):
            hidden = list(_hidden(ast.parse(path.read_text())))
            assert not hidden, f"{path}: lines {hidden}"


def _hidden(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield from (node.lineno for each in ast.walk(node) if _is_call(each))
        elif _is_call(node):
            yield from (each.lineno for each in node.args if isinstance(each, ast.JoinedStr))


def _is_call(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEYWORDS
    )


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "none yet"),
        ({"LANG": "C.UTF-8"}, "none yet"),
        ({"LANG": "fr_FR.UTF-8"}, "none yet"),
        ({"LANG": "de_DE.UTF-8"}, "noch keiner"),
        ({"LANG": "de_AT"}, "noch keiner"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "de"}, "noch keiner"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "none yet"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "de_DE.UTF-8"}, "noch keiner"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "fr:de:en"}, "noch keiner"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "en_GB:en:de"}, "none yet"),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "../de"}, "none yet"),
    ],
    ids=str,
)
def test_the_environment_chooses(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    try:
        language.choose()
        assert gettext.gettext("none yet") == said
    finally:
        language.speak_english()
    assert gettext.gettext("none yet") == "none yet"
