"""The tutorial, followed word by word; and that whoever follows notices what is wrong in a page."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.docs.steps import PageError
from tests.docs.tutorial import PAGE, StepError, follow
from tests.support import require


def page(text: str) -> str:
    """A page whose blocks are marked by ``sh:`` and ``text:``, and end with an empty line."""
    return re.sub(r"^(\w+):\n(.*?)\n$", r"```\1\n\2\n```\n", text, flags=re.DOTALL | re.MULTILINE)


def test_the_tutorial_is_true_from_its_first_word_to_its_last(tmp_path: Path) -> None:
    """Two nodes in ten minutes, in a new home, with a new installation (B62)."""
    require("bash", "curl")
    follow(PAGE.read_text("utf-8"), tmp_path, print)


GOOD = page("""
sh:
number=$((100 + RANDOM % 900))
echo "Your code is $number-$number-$number, of $(date -Iseconds)"

text:
Your code is 482-913-007, of 2026-01-31T12:00:00+01:00

Terminal 2 asks for it. In terminal 2:

sh:
read -p 'Code? ' code; read -p 'Sure [yes]? '; \\
echo "$code in /home/you" | tee .seen; sleep 2; echo over

text:
Code? 482-913-007
Sure [yes]?
482-913-007 in /home/you

Once more, with more of it than is shown, and in the middle of a command:

text:
...er

sh:
grep -q 482-913-007 .seen
cat << END
two
END
sh -c 'kill -9 $$'

text:
two
...
Killed
""")


def test_a_page_is_followed_in_two_terminals_with_questions(tmp_path: Path) -> None:
    said: list[str] = []
    follow(GOOD, tmp_path, said.append)
    code = (tmp_path / ".seen").read_text().split()[0]
    assert re.fullmatch(r"(\d{3})-\1-\1", code)
    assert f"[2] Code? {code}" in said
    assert (tmp_path / ".seen").read_text() == f"{code} in {tmp_path}\n"


WRONG = {
    "other output": ("sh:\necho one\n\ntext:\ntwo\n", "line 7, .* on the page stands:\n  two"),
    "more output": ("sh:\necho one; echo two\n\ntext:\none\n", "on the page"),
    "more output, later": (
        "sh:\necho one; sleep 1; echo two\n\ntext:\none\n\nsh:\ntrue\n",
        "this is not on the page:\n  two",
    ),
    "less output": ("sh:\ntrue\n\ntext:\none\n", "and here:\n  nothing"),
    "output that is not shown": ("sh:\necho one\n", "this is not on the page:\n  one"),
    "a failure": ("sh:\nfalse\n", "a command failed, with exit code 1"),
    "a failure that is not the last": ("sh:\nfalse\ntrue\n", "a command failed"),
    "a failure, shown": ("sh:\necho one; false\n\ntext:\none\n", "a command failed"),
    "a failure in the end": (
        "sh:\necho one; sleep 1; exit_code 3\n\ntext:\none\n\nTerminal 2\n\nsh:\ntrue\n",
        "a command failed, with exit code 127",
    ),
    "an answer to no question": ("sh:\nread -p 'Name: ' it\n\ntext:\nAge: 5\n", "took over"),
    "another name than before": (
        "sh:\necho 111-222-333 444-555-666\n\ntext:\n482-913-007 482-913-007\n",
        "on the page stands",
    ),
    "the same name as before": (
        "sh:\necho 111-222-333 111-222-333\n\ntext:\n482-913-007 482-913-008\n",
        "482-913-008 should be another than 111-222-333",
    ),
    "no end": ("sh:\nsleep 1000\n", "the page took over 4 s"),
    "a file that is left": ("sh:\ntouch it\n", "this is left: it"),
    "a process that is left": (
        "sh:\nsetsid sleep 1000 & disown; sleep 0.1\n\ntext:\n...\n",
        "this is left: sleep 1000",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_page_is_noticed(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(StepError, match=said):
        follow(page(f"\n{text}"), tmp_path, print, limit_s=4)


def test_nothing_runs_on_when_a_page_fails(tmp_path: Path) -> None:
    text = page("\nsh:\nsetsid sleep 1000 & echo $! > .pid\nfalse\n\ntext:\n...\n")
    with pytest.raises(StepError, match="a command failed"):
        follow(text, tmp_path, print)
    process = Path("/proc", (tmp_path / ".pid").read_text().strip())
    give_up_at = time.monotonic() + 10
    while process.exists():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```toml\n[node]\n```\n", "line 1: a block 'toml'; allowed: sh, text"),
        ("```sh\ntrue\n", "line 1: a block without an end"),
    ],
)
def test_a_block_that_could_not_be_tried_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PageError, match=said):
        follow(text, tmp_path, print)
