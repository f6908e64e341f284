"""The filters against an independent reference, and how much work a pattern can make."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from sbs.core.filters import Filter, _expression
from sbs.core.manifest import Entry, Kind
from tests.core.filter_reference import MalformedError, decide
from tests.core.regex_steps import Steps

# Few characters, or nothing would ever match; each of them means something to some rule.
NAMES = st.text("aab*?[]!^-\\. A:é\n\udcff", min_size=1, max_size=6).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)
PIECES = [
    r"a",
    r"b",
    r"A",
    r".",
    r"*",
    r"?",
    r"**",
    r"\*",
    r"\?",
    r"\[",
    r"\\",
    r"[ab]",
    r"[!a]",
    r"[^b]",
    r"[a-b]",
    r"[]a]",
    r"[!]]",
    r"[a-]",
    r"[\]]",
    r"é",
    r"-",
    r"!",
    r"]",
]
GLOBS = st.lists(st.sampled_from([*PIECES, " ", "\n", "\udcff"]), min_size=1, max_size=5).map(
    "".join
)
COMPONENTS = st.one_of(GLOBS, st.sampled_from(["**", "*", "?*"]), NAMES)
PATTERNS = st.builds(
    lambda start, components, end: start + "/".join(components) + end,
    st.sampled_from(["", "", "/"]),
    st.lists(COMPONENTS, min_size=1, max_size=4),
    st.sampled_from(["", "", "/"]),
)
RULES = st.lists(
    st.builds(str.__add__, st.sampled_from(["+ ", "- ", "- "]), PATTERNS), min_size=1, max_size=5
)


@settings(max_examples=2000)
@given(rules=RULES, paths=st.lists(PATHS, min_size=1, max_size=5), is_directory=st.booleans())
@example(rules=["- *"], paths=["a/b"], is_directory=False)
@example(rules=["- [[a]"], paths=["["], is_directory=False)
def test_filters_agree_with_the_reference(
    rules: list[str], paths: list[str], is_directory: bool
) -> None:
    """R21: the verdict, the rule that decides, and what is malformed."""
    try:
        wanted = [decide(rules, path, is_directory) for path in paths]
    except MalformedError:
        event("malformed")
        with pytest.raises(ValueError, match="filter rule"):
            Filter.parse(rules)
        return
    parsed = Filter.parse(rules)
    for path, (included, number) in zip(paths, wanted, strict=True):
        event(f"decided by a rule: {number > 0}")
        found = parsed.explain(path, is_directory)
        assert (found.included, found.number) == (included, number)
        assert found.rule == (rules[number - 1] if number else "")
        kind = Kind.DIRECTORY if is_directory else Kind.FILE
        selected = parsed.select({path: Entry(path=path, kind=kind)})
        assert (path in selected) is included


HARD: dict[str, Callable[[int], tuple[str, str]]] = {
    "stars in a name": lambda n: ("*a" * n + "b", "a" * 2 * n),
    "sets between stars": lambda n: ("*[a-c]" * n + "b", "a" * 2 * n),
    "a star after each character": lambda n: ("?*" * n + "b", "a" * 2 * n),
    "stars for directories": lambda n: ("*/" * n + "b", "aaaa/" * n + "a"),
    "stars in directories": lambda n: ("*a*/" * n + "b", f"{'a' * n}/" * n + "a"),
    "any directories": lambda n: ("**/a/" * n + "b", "a/" * 2 * n + "a"),
    "any directories, any name": lambda n: ("**/*/" * n + "b", "a/" * 2 * n + "a"),
    "both": lambda n: ("**/*a*a*a/" * n + "b", f"{'a' * n}/" * n + "a"),
}
"""Patterns and paths on which a matcher that tries every way does not come back, by size."""


@pytest.mark.parametrize("size", [4, 8, 16])
@pytest.mark.parametrize("name", HARD)
def test_the_work_of_a_hard_pattern_grows_with_its_length(name: str, size: int) -> None:
    """R21: counted in steps, not in seconds."""
    pattern, path = HARD[name](size)
    steps = Steps(_expression(pattern.split("/")), path)
    assert not steps.found
    assert steps.count <= 4 * (len(pattern) + len(path))


def test_steps_are_counted_of_an_expression_that_tries_every_way() -> None:
    """The same without atomic groups: 16 times as much for each two more stars."""
    counts = [Steps("[^/]*a" * n + "b", "a" * 2 * n).count for n in (2, 4, 6)]
    assert counts[2] > 10 * counts[1] > 100 * counts[0]


@settings(max_examples=500)
@given(
    components=st.lists(
        st.one_of(st.just("**"), st.text("ab*?", min_size=1, max_size=6)), min_size=1, max_size=5
    ),
    path=st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=6).map("/".join),
)
def test_no_pattern_makes_more_work_than_its_length_times_the_paths(
    components: list[str], path: str
) -> None:
    expression = _expression(components)
    steps = Steps(expression, path)
    assert steps.found is (re.fullmatch(expression, path) is not None)
    assert steps.count <= 2 * (len("/".join(components)) + 2) * (len(path) + 2)
