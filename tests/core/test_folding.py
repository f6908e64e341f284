"""Which names are one on a file system that folds them, and which of them is replicated."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from sbs.core.folding import Folding

NONE, CASE, UNICODE, BOTH = Folding


@pytest.mark.parametrize(
    ("one", "other", "folded_by"),
    [
        ("a/f", "a/f", {NONE, CASE, UNICODE, BOTH}),
        ("a/f", "A/F", {CASE, BOTH}),
        ("a", "b", set()),
        ("é", "e\u0301", {UNICODE, BOTH}),
        ("é", "É", {CASE, BOTH}),
        ("é", "E\u0301", {BOTH}),
        ("K", "\u212a", {CASE, UNICODE, BOTH}),
        ("straße", "STRASSE", {CASE, BOTH}),
        ("\u0131", "i", {CASE, BOTH}),
        ("a\u200db", "ab", {UNICODE, BOTH}),
        ("a\ufe0f", "a", {UNICODE, BOTH}),
        ("\u0345\u0301", "\u0399\u0301", {CASE, BOTH}),
        ("\u1fb3\u0301", "\u0391\u03af", {BOTH}),
        ("\u1fb4", "\u0391\u0301\u0399", {BOTH}),
        ("\u0345\u0301", "\u0301\u0399", set()),
        ("\udcff", "\udcff", {NONE, CASE, UNICODE, BOTH}),
        ("\udcff", "\udcfe", set()),
    ],
)
def test_names_are_one_where_a_file_system_may_take_them_for_one(
    one: str, other: str, folded_by: set[Folding]
) -> None:
    """Adversarial case 15."""
    assert {each for each in Folding if each.key(one) == each.key(other)} == folded_by


def test_a_key_is_equal_for_every_way_to_fold_a_character() -> None:
    """Simple or full, up or down, before or after it is decomposed."""
    cases = (str.upper, str.lower, str.casefold, str.title)
    forms = (nfd, nfc)
    for character in map(chr, range(sys.maxunicode + 1)):
        others = {way(character) for way in cases} - {character}
        composed = {way(character) for way in forms} - {character}
        for folding, ways in {
            CASE: others,
            UNICODE: composed,
            BOTH: others | composed | {nfd(other).casefold() for other in composed},
        }.items():
            keys = {folding.key(other) for other in ways}
            assert not ways or keys == {folding.key(character)}, (folding, ascii(character))


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def test_what_was_found_has_one_value() -> None:
    found = [Folding.of(case=case, unicode=uni) for uni in (False, True) for case in (False, True)]
    assert found == list(Folding)


def test_paths_are_known_by_their_keys() -> None:
    assert NONE.spellings(["a/B"]) == {}
    assert CASE.spellings(["a/B", "a/C"]) == {"a/b": "a/B", "a/c": "a/C"}


def unasked() -> set[str]:
    raise AssertionError("the follower's entries are not needed")


def test_of_names_that_are_one_the_first_is_replicated_or_the_one_that_stands() -> None:
    """Adversarial case 15: whatever order they come in, and in every update the same."""
    for paths in (["d/B", "d/b", "c"], ["c", "d/b", "d/B"]):
        assert CASE.clashes(paths, set) == {"d/b": "d/B"}
        assert CASE.clashes(paths, lambda: {"d/b"}) == {"d/B": "d/b"}
        assert NONE.clashes(paths, unasked) == UNICODE.clashes(paths, unasked) == {}
    assert BOTH.clashes(["é", "e\u0301", "É"], set) == {"é": "e\u0301", "É": "e\u0301"}
