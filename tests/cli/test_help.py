"""What the commands say of themselves: each teaches, and its examples are right."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sbs.cli import COMMANDS, SECTIONS, main
from sbs.cli.help import MAX_SUMMARY_CHARS
from sbs.cli.reference import reference, walk
from tests.support import ROOT

TREE = {ctx.command_path: (ctx, command) for ctx, command in walk(main)}
PAGE = ROOT / "docs" / "commands.md"

every_command = pytest.mark.parametrize("path", TREE)


def examples(command: click.Command) -> Iterator[list[str]]:
    """The words of each example, without what a shell does around it and a remark after it."""
    _, found, lines = (command.epilog or "").partition("Example")
    assert found, "no example"
    for line in lines.splitlines()[1:]:
        typed = re.search(r"\bsbs( [^ |>)]+)*", line)
        assert typed, line
        yield shlex.split(typed[0])


def parse(words: list[str]) -> str:
    """Let click parse a command line, and run nothing; the path of its command."""
    assert words[0] == "sbs", words
    command, ctx = TREE["sbs"][1], main.make_context("sbs", words[1:])
    while isinstance(command, click.Group) and ctx._protected_args + ctx.args:
        name, found, rest = command.resolve_command(ctx, ctx._protected_args + ctx.args)
        assert name is not None
        assert found is not None
        command, ctx = found, found.make_context(name, rest, parent=ctx)
    return ctx.command_path


@every_command
def test_every_command_says_what_it_does_and_shows_how(path: str) -> None:
    _, command = TREE[path]
    help_text = command.help or ""
    summary, _, rest = help_text.partition("\n\n")
    assert summary.endswith(".")
    assert len(summary) <= MAX_SUMMARY_CHARS, "the list of all commands would cut it"
    assert len(help_text.split()) > 12
    assert rest or isinstance(command, click.Group)
    for param in command.params:
        assert str(param.help).endswith("."), f"{param.name} says nothing"


@every_command
def test_every_example_is_one_that_can_be_typed(path: str) -> None:
    _, command = TREE[path]
    found = list(examples(command))
    assert found
    for words in found:
        assert f"{parse(words)} ".startswith("sbs " if path == "sbs" else f"{path} "), words


@pytest.mark.parametrize("line", ["sbs sync --fast", "sbs dance", "sbs unit stop", "sbs run a"])
def test_an_example_that_cannot_be_typed_would_be_found(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(shlex.split(line))


@every_command
def test_the_help_ends_with_the_examples_line_by_line(path: str) -> None:
    done = CliRunner().invoke(main, [*path.split()[1:], "-h"], env={"SBS_CONFIG": None})
    assert done.exit_code == 0
    epilog = TREE[path][1].epilog
    assert epilog
    assert done.output.endswith(f"\n{epilog}\n")
    assert max(map(len, done.output.splitlines())) <= 100


def test_the_list_of_commands_is_by_purpose_and_cuts_nothing() -> None:
    shown = CliRunner().invoke(main, ["-h"]).output
    assert sorted(COMMANDS) == sorted(name for names in SECTIONS.values() for name in names)
    places = [shown.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)
    for name in COMMANDS:
        summary = TREE[f"sbs {name}"][1].get_short_help_str(MAX_SUMMARY_CHARS)
        assert f"\n  {name:<10}  {summary}\n" in shown
    assert "..." not in shown.partition("Options:")[2]


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("swichover", "Did you mean 'switchover'?"),
        ("stats", "'status'"),
        ("unit strat", "'start'"),
        ("status --jsn", "'--json'"),
    ],
)
def test_what_is_near_a_mistyped_word_is_proposed(words: str, near: str) -> None:
    done = CliRunner().invoke(main, words.split())
    assert done.exit_code == 2
    assert near in done.stderr


def test_the_page_is_made_from_the_code() -> None:
    """If this fails: ``python -m sbs.cli.reference > docs/commands.md``."""
    assert PAGE.read_text("utf-8") == reference()
    done = subprocess.run(
        [sys.executable, "-m", "sbs.cli.reference"], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.decode() == reference()
    assert done.stderr == b""


def test_the_page_has_a_section_for_every_command_and_its_links_lead_there() -> None:
    text = PAGE.read_text("utf-8")
    titles = re.findall(r"^#{2,3} (sbs.*)$", text, re.MULTILINE)
    assert titles == list(TREE)
    anchors = {title.replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) == {f"sbs-{name}" for name in COMMANDS}
    assert {f"sbs-{name}" for name in COMMANDS} < anchors
    for page in re.findall(r"\]\((\w+\.md)\)", text):
        assert (Path(ROOT) / "docs" / page).exists()
