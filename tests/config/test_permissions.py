"""A configuration file holds commands: whoever can change it runs them as the node (B62)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from sbs.config import load
from sbs.errors import ConfigError
from sbs.runtime.node import Node
from tests.support import require, sbs

STRANGER = 12345
"""An account that runs nothing."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "etc" / "sbs.toml"
    place.parent.mkdir()
    place.parent.chmod(0o755)
    place.write_text('[node]\npeer = "127.0.0.1:4446"\nstate_dir = "state"\n')
    place.chmod(0o644)
    return place


def test_a_file_of_this_account_alone_is_trusted(file: Path) -> None:
    config = load(file)
    assert config.refusal == ""
    assert config.warnings == ()


def test_a_file_that_everybody_can_write_to_runs_no_node(file: Path) -> None:
    file.chmod(0o646)
    why = f"{file}: everybody can write to it; run chmod o-w on it"
    assert load(file).refusal == why
    with pytest.raises(ConfigError, match="everybody can write to it"):
        trio.run(Node(load(file)).run)
    assert not (file.parent / "state").exists()


@pytest.mark.parametrize("command", ["run", "config check", "service install --print", "pair"])
def test_commands_that_are_about_running_refuse_it(file: Path, command: str) -> None:
    file.chmod(0o646)
    done = sbs(*command.split(), "-c", file)
    assert done.returncode == 78
    assert "everybody can write to it; run chmod o-w on it" in done.stderr


def test_others_only_read_it(file: Path) -> None:
    """What runs no command of the file works with one that is somebody else's."""
    file.chmod(0o646)
    assert sbs("explain", "/nowhere", "-c", file).returncode == 1
    assert "sbs run refuses it here" in sbs("probe", "-c", file).stdout


def test_a_group_that_can_write_to_it_is_a_warning(file: Path) -> None:
    file.chmod(0o664)
    config = load(file)
    assert config.refusal == ""
    assert config.warnings == (f"{file}: its group can write to it; run chmod g-w on it",)


def test_nor_may_others_put_another_in_its_place(file: Path, tmp_path: Path) -> None:
    file.parent.chmod(0o757)
    assert load(file).refusal.startswith(f"{file.parent}, where sbs.toml lies: everybody can")
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    assert load(link).refusal.startswith(f"{file.parent}, where link.toml lies: everybody can")
    file.parent.chmod(0o1757)
    assert load(file).refusal == ""


@pytest.mark.parametrize("name", ["sbs.toml", "."])
def test_it_belongs_to_the_account_of_the_node_or_to_root(file: Path, name: str) -> None:
    require(root=True)
    os.chown(file.parent / name, STRANGER, -1)
    assert f"belongs to the account {STRANGER}, and this one is 0" in load(file).refusal


def test_a_link_that_somebody_else_has_laid_is_not_followed(file: Path, tmp_path: Path) -> None:
    """In a sticky directory everybody may: it could name any file of root's."""
    require(root=True)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    link = shared / "sbs.toml"
    link.symlink_to(file)
    assert load(link).refusal == ""
    os.chown(link, STRANGER, -1, follow_symlinks=False)
    assert f"{link}, a link: belongs to the account {STRANGER}" in load(link).refusal
