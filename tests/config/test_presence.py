"""What a machine does not have that a configuration names: a warning of ``sbs config check``."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbs.config import parse
from sbs.config.presence import missing

ABSENT = "is not found on this machine, or this account may not run it"


def found(tmp_path: Path, text: str, *, mode: str = "symmetric") -> list[str]:
    node = f'[node]\npeer = "127.0.0.1:4446"\nstate_dir = "state"\nmode = "{mode}"\n'
    return [*missing(parse(node + text, tmp_path / "sbs.toml"))]


FOLDER = '[[folders]]\nname = "data"\npath = "data"\n'


@pytest.mark.parametrize("mode", ["symmetric", "primary-only"])
def test_a_folder_that_is_not_there_is_told_where_it_may_be_led_from(
    tmp_path: Path, mode: str
) -> None:
    """B60: found by a newcomer; a disk that is not mounted, or a mistyped path."""
    (warning,) = found(tmp_path, FOLDER, mode=mode)
    assert warning.startswith(f'folders[1].path = "{tmp_path}/data": does not exist on this')
    (tmp_path / "data").mkdir()
    assert not found(tmp_path, FOLDER, mode=mode)


def test_a_folder_that_a_secondary_makes_is_not_told(tmp_path: Path) -> None:
    """What stands in its place is."""
    assert not found(tmp_path, FOLDER, mode="backup-only")
    (tmp_path / "data").write_text("")
    (warning,) = found(tmp_path, FOLDER, mode="backup-only")
    assert warning.endswith("is no directory on this machine")


COMMANDS = """
[hooks]
update = [["sh", "-c", "true"], ["/no/export", "--password=secret"]]
apply = [["no-such-program"]]
transition = [["./relative/to/the/node"]]
[failover]
fence = ["/no/fence"]
[[services.unit]]
name = "web"
command = ["/no/web"]
"""


def test_programs_that_are_not_there_are_told_by_their_keys_without_arguments(
    tmp_path: Path,
) -> None:
    """A backup needs them, too."""
    expected = [
        f'services.unit[1].command: the program "/no/web" {ABSENT}',
        f'hooks.update[2]: the program "/no/export" {ABSENT}',
        f'hooks.apply[1]: the program "no-such-program" {ABSENT}',
        f'failover.fence: the program "/no/fence" {ABSENT}',
    ]
    for mode in ("symmetric", "primary-only", "backup-only"):
        assert found(tmp_path, COMMANDS, mode=mode) == expected


def test_a_program_that_may_not_be_run_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    text = f'[hooks]\napply = [["{script}"]]\n'
    assert len(found(tmp_path, text)) == 1
    script.chmod(0o755)
    assert not found(tmp_path, text)


def test_a_program_that_comes_with_its_folder_is_told_only_where_it_has_to_be(
    tmp_path: Path,
) -> None:
    (tmp_path / "data").mkdir()
    text = f'{FOLDER}[hooks]\napply = [["{tmp_path}/data/script"]]\n'
    assert not found(tmp_path, text)
    assert not found(tmp_path, text, mode="backup-only")
    assert len(found(tmp_path, text, mode="primary-only")) == 1


def test_commands_of_other_adapters_are_looked_at_as_they_need_them(tmp_path: Path) -> None:
    """Units of systemd have none here."""
    text = '[services]\nadapter = "command"\n[[services.unit]]\nname = "web"\n'
    commands = 'start = ["/no/a"]\nstop = ["/no/b"]\nstatus = ["true"]\n'
    keys = [warning.partition(":")[0] for warning in found(tmp_path, text + commands)]
    assert keys == ["services.unit[1].start", "services.unit[1].stop"]
    units = '[services]\nadapter = "systemd"\n[[services.unit]]\nname = "web"\n'
    assert not found(tmp_path, units)
