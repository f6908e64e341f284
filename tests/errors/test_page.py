"""docs/errors.md tells of all alarms and errors, and each says what to do."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from sbs.core.alarm import ALARMS
from sbs.core.explanation import Explanation
from sbs.core.refusal import REFUSALS
from sbs.errors import SbsError
from sbs.runtime.probing.rows import ROWS
from tests.errors.messages import ROOT, said
from tests.errors.page import MARKER, PAGE, document
from tests.errors.tree import cause, classes

SENTENCES = re.compile(r"[A-Za-z`].*[.]", re.DOTALL)

ADVICE = re.compile(
    r"allowed|\bsee\b|\bsbs [a-z]|needs? |run (?:this|the)|nothing to|install |correct |update |"
    r"may |again|which are|has to|move it|systemctl status|its log says|it says there|"
    r"sets it aside|set the|find out|\bask |this program (?:knows|reads)|\{(?:error|why|hint)\}$"
)
"""Words by which a message says what to do, or what is allowed; or another text does at its end."""


def test_the_page_ends_with_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8").partition(MARKER)[2] == document()


def test_the_module_prints_the_tables() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.errors"], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.decode() == document()
    assert done.stderr == b""


INNER = {"there was no answer within {bound_s} s"}
"""Texts that stand in brackets in another, which says it."""

EXPLAINED: dict[str, Explanation] = {
    **{alarm.value: explained for alarm, explained in ALARMS.items()},
    **{code.value: explained for code, explained in REFUSALS.items()},
    **ROWS,
}


@pytest.mark.parametrize("explained", EXPLAINED.values(), ids=EXPLAINED)
def test_causes_and_remedies_are_sentences_and_name_pages_that_are_there(
    explained: Explanation,
) -> None:
    assert SENTENCES.fullmatch(explained.cause)
    assert SENTENCES.fullmatch(explained.remedy)
    for page in re.findall(r"docs/[a-z]+\.md", explained.cause + explained.remedy):
        assert (ROOT / page).is_file(), page


@pytest.mark.parametrize("error", classes(), ids=lambda error: error.__name__)
def test_every_error_has_a_cause_and_a_remedy_where_one_goes_with_all_texts(
    error: type[SbsError],
) -> None:
    assert SENTENCES.fullmatch(cause(error))
    assert not error.remedy or SENTENCES.fullmatch(error.remedy)
    for page in re.findall(r"docs/[a-z]+\.md", error.remedy):
        assert (ROOT / page).is_file(), page


@pytest.mark.parametrize(
    "error", [each for each in classes() if not each.remedy], ids=lambda error: error.__name__
)
def test_where_a_class_has_no_remedy_each_message_says_what_to_do(error: type[SbsError]) -> None:
    """An imperative, what is allowed, or where to look: after a colon, a semicolon or a comma."""
    texts = [text for text in said()[error.__name__] if text not in INNER]
    assert [text for text in texts if not ADVICE.search(text)] == []
