"""Which entries of a folder are replicated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.filters import (
    MAX_RULE_CHARACTERS,
    MAX_RULE_COMPONENTS,
    MAX_RULES,
    Decision,
    Filter,
    directories_above,
    parent_of,
)
from sbs.core.manifest import Entry, Kind


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.tmp", "a.tmp", True),
        ("*.tmp", "deep/er/a.tmp", True),
        ("*.tmp", "a.tmp.txt", False),
        ("*.tmp", ".tmp", True),
        ("a", "a", True),
        ("a", "ba", False),
        ("/a", "a", True),
        ("/a", "b/a", False),
        ("a/b", "a/b", True),
        ("a/b", "x/a/b", False),
        ("a/*", "a/b", True),
        ("a/*/c", "a/b/c", True),
        ("a/*/c", "a/b/d/c", False),
        ("a/*c", "a/b/c", False),
        ("**", "a", True),
        ("**", "a/b/c", True),
        ("**/a", "a", True),
        ("**/a", "x/y/a", True),
        ("**/a", "x/ya", False),
        ("a/**", "a/b/c", True),
        ("a/**", "ab/c", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/xb", False),
        ("a/**/**/b", "a/x/b", True),
        ("**/**/b", "b", True),
        ("a/**/b/c/**/d", "a/b/x/b/c/y/d", True),
        ("a/**/b/c/**/d", "a/b/c/x", False),
        ("**/x*y/**/z", "q/x1y/p/z", True),
        ("a**b", "axxb", True),
        ("a**b", "a/b", False),
        ("?", "a", True),
        ("?", "ab", False),
        ("*a*b*c", "xaxbxc", True),
        ("*a*b*c", "xaxcxb", False),
        ("*ab", "aab", True),
        ("[abc].x", "b.x", True),
        ("[a-c].x", "d.x", False),
        ("[!a-c].x", "d.x", True),
        ("[^a-c].x", "a.x", False),
        ("[]].x", "].x", True),
        ("[!]].x", "].x", False),
        ("[a-]", "-", True),
        (r"[\]]", "]", True),
        ("a[!b]c", "a/c", False),
        (r"\*", "*", True),
        (r"\*", "a", False),
        ("a.c", "abc", False),
        ("line\nbreak", "line\nbreak", True),
        ("*", "line\nbreak", True),
        ("?", "\udcff", True),
    ],
)
def test_patterns_match_as_in_gitignore(pattern: str, path: str, matches: bool) -> None:
    decision = Filter.parse([f"- {pattern}"]).decide(path, False)
    assert decision.included is not matches


def test_a_pattern_that_ends_with_a_slash_matches_directories_only() -> None:
    rules = Filter.parse(["- cache/"])
    assert not rules.includes("a/cache", True)
    assert rules.includes("a/cache", False)
    assert not rules.includes("a/cache/x", False)


def test_without_rules_everything_is_included() -> None:
    """R21: filters are optional."""
    assert Filter.parse([]).explain("any/thing", False) == Decision(True)


def test_the_last_match_wins_and_explain_names_it() -> None:
    """R21: ordered rules."""
    rules = Filter.parse(["+ **", "- *.tmp", "+ keep.tmp"])
    assert rules.explain("a/keep.tmp", False) == Decision(True, "+ keep.tmp", 3)
    assert rules.explain("a/b.tmp", False) == Decision(False, "- *.tmp", 2)
    assert rules.explain("a/b", False) == Decision(True, "+ **", 1)
    assert Filter.parse(["- x"]).explain("a/b", False) == Decision(True, "", 0)


def test_below_an_excluded_directory_nothing_is_included() -> None:
    rules = Filter.parse(["- logs", "+ logs/keep"])
    assert rules.explain("logs/keep", False) == Decision(False, "- logs", 1)
    assert not rules.includes("a/logs/b/c", False)


def test_single_files_can_be_kept_by_letting_directories_in() -> None:
    rules = Filter.parse(["- *", "+ */", "+ *.conf"])
    assert rules.includes("a/b/x.conf", False)
    assert not rules.includes("a/b/x.log", False)


def test_select_agrees_with_includes() -> None:
    rules = Filter.parse(["- b", "- *.tmp", "+ a/x.tmp"])
    paths = ["a", "a/b", "a/b/c", "a/b/c/d", "a/x.tmp", "a/y.tmp", "b", "c"]
    directories = {"a", "a/b", "a/b/c", "b"}
    entries = {
        path: Entry(path=path, kind=Kind.DIRECTORY if path in directories else Kind.FILE)
        for path in paths
    }
    selected = rules.select(entries)
    assert list(selected) == [p for p in paths if rules.includes(p, p in directories)]
    assert list(selected) == ["a", "a/x.tmp", "c"]
    assert Filter.parse([]).select(entries) is entries


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("*.tmp", "is allowed"),
        ("-*.tmp", "is allowed"),
        ("+ ", "is allowed"),
        ("- /", "is allowed"),
        ("- a//b", "empty"),
        ("- ../b", "'..'"),
        ("- ./b", "'.'"),
        ("- [a", "needs its"),
        ("- [", "needs its"),
        ("- [z-a]", "backwards"),
        ("- [[:alpha:]]", "named classes"),
        ("- a\\", "backslash"),
        ("- [\\", "backslash"),
        ("- " + "a" * MAX_RULE_CHARACTERS, str(MAX_RULE_CHARACTERS)),
        ("- " + "a/" * MAX_RULE_COMPONENTS + "b", str(MAX_RULE_COMPONENTS)),
    ],
)
def test_a_malformed_rule_is_named_with_what_is_allowed(rule: str, text: str) -> None:
    with pytest.raises(ValueError, match="filter rule") as caught:
        Filter.parse([rule])
    assert text in str(caught.value)


def test_the_number_of_rules_is_bounded() -> None:
    with pytest.raises(ValueError, match="at most"):
        Filter.parse(["- x"] * (MAX_RULES + 1))


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 500, "**/a/" * 31 + "b", "**/*a*a*a/" * 31 + "b", "?*" * 500, "*/" * 64],
)
def test_no_pattern_takes_more_than_polynomial_time(pattern: str) -> None:
    """A matcher that backtracks does not come back from these."""
    rules = Filter.parse([f"- {pattern}"])
    path = "/".join(["a" * 255] * 15) + "/c"
    assert rules.decide(path, False).included
    assert rules.decide("a/" * 2000 + "c", False).included


def _reference(pattern: list[str], path: list[str]) -> bool:
    """A direct recursive matcher of components, to compare with."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(_reference(pattern[1:], path[i:]) for i in range(len(path) + 1))
    return bool(path) and _name(pattern[0], path[0]) and _reference(pattern[1:], path[1:])


def _name(glob: str, name: str) -> bool:
    if not glob:
        return not name
    if glob[0] == "*":
        return any(_name(glob[1:], name[i:]) for i in range(len(name) + 1))
    return bool(name) and glob[0] in ("?", name[0]) and _name(glob[1:], name[1:])


_globs = st.lists(
    st.one_of(st.just("**"), st.text("ab*?", min_size=1, max_size=5)), min_size=1, max_size=5
)
_paths = st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=6)


@given(glob=_globs, path=_paths)
def test_matching_agrees_with_a_direct_matcher(glob: list[str], path: list[str]) -> None:
    rules = Filter.parse(["- /" + "/".join(glob)])
    assert rules.decide("/".join(path), False).included is not _reference(glob, path)


def test_parent_of() -> None:
    assert [parent_of(p) for p in ("a", "a/b", "a/b/c")] == ["", "a", "a/b"]


def test_directories_above() -> None:
    assert directories_above(["a/b/c", "a/b/d", "e", "f/g"]) == {"a", "a/b", "f"}


def test_the_deepest_path_is_selected_without_recursion() -> None:
    """Adversarial case 5: a peer may name it although its directories were never listed."""
    deep = "/".join("d" * 2048)
    entries = {deep: Entry(path=deep, kind=Kind.FILE)}
    assert Filter.parse(["- x"]).select(entries) == entries
    assert Filter.parse(["- /d/d"]).select(entries) == {}
