"""The page and the examples say what the code does."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sbs.config import load, parse
from sbs.config.declare import Declaration, Key, Section
from sbs.config.reference import reference
from sbs.config.settings import FILE
from sbs.ports import Unit

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "configuration.md"


def test_the_page_ends_with_the_reference_made_from_the_code() -> None:
    assert PAGE.read_text("utf-8").endswith("\n## Reference\n" + _intro() + reference())


def _intro() -> str:
    _, _, rest = PAGE.read_text("utf-8").partition("\n## Reference\n")
    return rest[: rest.index("### ")]


def test_the_module_prints_the_reference() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sbs.config"], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.decode() == reference()
    assert done.stderr == b""


def _keys(section: Section) -> list[Declaration]:
    found: list[Declaration] = []
    for declaration in section.declarations.values():
        found.append(declaration)
        if isinstance(declaration, Section):
            found += _keys(declaration)
    return found


def test_every_key_is_described_in_a_sentence() -> None:
    for declaration in _keys(FILE):
        assert declaration.help.endswith("."), declaration
        assert not isinstance(declaration, Key) or declaration.kind.expected


@pytest.mark.parametrize("name", ["alpha", "beta"])
def test_the_examples_are_right_and_need_no_warning(name: str) -> None:
    config = load(ROOT / "examples" / f"{name}.toml")
    assert config.warnings == ()
    assert config.node.name == name
    assert config.node.state_dir == str(ROOT / "examples" / name / "state")
    (folder,) = config.folder_specs()
    assert folder.path == str(ROOT / "examples" / name / "settings")
    assert folder.strict_delete
    assert folder.preserve_mtime
    command = ("python3", "-m", "http.server", "8101", "--bind", "127.0.0.1")
    assert config.services.unit == (Unit(name="web", command=command, enabled=True),)


def test_the_examples_are_each_others_peer() -> None:
    alpha, beta = (load(ROOT / "examples" / f"{name}.toml") for name in ("alpha", "beta"))
    assert alpha.node.peer == beta.node.listen
    assert beta.node.peer == alpha.node.listen


def test_the_smallest_file_of_the_page_is_enough() -> None:
    _, _, rest = PAGE.read_text("utf-8").partition("```toml\n")
    assert list(tomllib.loads(rest.partition("```")[0])) == ["node"]


@pytest.mark.parametrize("page", ["hooks", "services"])
def test_configuration_on_other_pages_is_right(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        parse(f'[node]\npeer = "127.0.0.1:4446"\n{block}', "/etc/sbs/sbs.toml")
