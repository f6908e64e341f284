"""What follows a how-to page notices when the page is wrong: the test of that test."""

from __future__ import annotations

import pytest

from tests.docs import follow
from tests.docs.blocks import ROOT, Block, blocks_of
from tests.docs.follow import Follower


class FakeMachines:
    """Prints what is given for a command, the last of it again and again; keeps files."""

    def __init__(self, **printed: list[tuple[int, str]]) -> None:
        self.printed = printed
        self.typed: list[tuple[str, str]] = []
        self.files: dict[tuple[str, str], str] = {}

    def run(self, name: str, text: str) -> tuple[int, str]:
        """Type commands."""
        self.typed.append((name, text))
        answers = self.printed[text.split(maxsplit=1)[0]]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def write(self, name: str, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file."""
        self.files[name, path] = text


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "WAIT_S", 0.0)
    monkeypatch.setattr(follow, "PAUSE_S", 0.0)


def done(machines: FakeMachines, *blocks: tuple[str, str, str]) -> FakeMachines:
    """Follow a page of some blocks: lead, language, text."""
    Follower(machines).follow(
        Block(page="page.md", line=number, language=language, lead=lead, text=text)
        for number, (lead, language, text) in enumerate(blocks)
    )
    return machines


def test_a_file_is_written_where_the_page_says() -> None:
    made = done(FakeMachines(), ("`/etc/a.toml` on beta:", "toml", "x = 1\n"))
    assert made.files == {("beta", "/etc/a.toml"): "x = 1\n"}


def test_commands_are_typed_on_both_nodes_in_turn() -> None:
    made = done(FakeMachines(true=[(0, "")]), ("On both:", "sh", "true\n"))
    assert made.typed == [("alpha", "true\n"), ("beta", "true\n")]


@pytest.mark.parametrize(
    ("lead", "language", "text", "complaint"),
    [
        ("Somewhere:", "sh", "true\n", "where is this for?"),
        ("On alpha:", "toml", "x = 1\n", "which file is this?"),
        ("On alpha:", "sh", "false\n", "exit code 3"),
    ],
)
def test_a_page_that_cannot_be_followed_is_refused(
    lead: str, language: str, text: str, complaint: str
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        done(FakeMachines(true=[(0, "")], false=[(3, "no")]), (lead, language, text))


def test_what_is_printed_has_to_be_what_the_page_shows() -> None:
    with pytest.raises(AssertionError, match=r"page\.md:1"):
        done(FakeMachines(look=[(0, "waiting\n")]), *looked("primary\n"))


def test_a_node_may_need_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "WAIT_S", 20.0)
    answers = [(1, ""), (0, "waiting\n"), (0, "primary\n")]
    assert len(done(FakeMachines(look=answers), *looked("primary\n")).typed) == 3


def looked(shown: str) -> tuple[tuple[str, str, str], ...]:
    return ("On alpha:", "sh", "look\n"), ("It prints:", "text", shown)


def test_the_lead_of_a_block_is_the_paragraph_before_it() -> None:
    leads = {block.lead for block in blocks_of(ROOT / "docs" / "howto" / "haproxy.md")}
    assert "`/etc/haproxy/haproxy.cfg` on gamma:" in leads


def test_who_waits_is_not_waited_for_and_the_code_it_shows_is_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "WAIT_S", 20.0)
    answers = {":": [(0, "")], "cat": [(0, ""), (0, "now type 482-913-007\n")], "call": [(0, "")]}
    made = done(
        FakeMachines(**answers),
        ("On alpha, which waits:", "sh", "wait\n"),
        ("It prints:", "text", "now type 111-222-333\n"),
        ("On beta:", "sh", "call 111-222-333\n"),
    )
    assert made.typed[0] == ("alpha", follow.BEGIN.format(text="wait\n"))
    assert made.typed[-1] == ("beta", "call 482-913-007\n")
