"""Update and apply scripts are real processes here."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import attrs
import pytest

from sbs.config import HookSettings
from sbs.core.epoch import Epoch
from sbs.core.history import Generation
from sbs.core.manifest import FolderSpec
from sbs.errors import ReplicationError
from sbs.replication.changes import NOTHING, Changes
from sbs.runtime.alarms import Alarms
from sbs.runtime.updating.scripts import MAX_WARNING_CHARS, Scripts

EPOCH = Epoch(3, 1)


def sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


class Rig:
    """Scripts with a folder ``data`` below a temporary directory."""

    def __init__(self, directory: Path, settings: HookSettings) -> None:
        self.folder = directory / "data"
        self.folder.mkdir(exist_ok=True)
        self.alarms = Alarms()
        self.scripts = Scripts(settings, "alpha", self.alarms)

    async def update(self, *, due: bool = True) -> Changes:
        folders = [
            FolderSpec(
                name="data",
                path=str(self.folder),
                filters=(),
                strict_delete=False,
                preserve_mtime=False,
            )
        ]
        return await self.scripts.update(folders, EPOCH, 41, due=due)

    @property
    def alarm(self) -> str:
        return "; ".join(f"{alarm.code}: {alarm.text}" for alarm in self.alarms.standing)

    @property
    def problems(self) -> list[str]:
        return [f"{problem.path}: {problem.text}" for problem in self.scripts.problems]


async def test_paths_that_are_printed_count_as_changed(tmp_path: Path) -> None:
    """R25: what lies in no folder is listed for the administrator; blank lines are nothing."""
    script = sh(f"echo {tmp_path}/data/sub/export; echo; echo /etc/passwd")
    rig = Rig(tmp_path, HookSettings(update=(script,)))
    assert await rig.update() == Changes.of([(0, "sub")])
    (problem,) = rig.problems
    assert problem.startswith("update hook sh -c")
    assert problem.endswith(": /etc/passwd is in no replicated folder")
    assert not rig.alarm


async def test_names_with_odd_separators_are_one_path(tmp_path: Path) -> None:
    """Adversarial 10: a line ends at a line feed and nowhere else."""
    odd = tmp_path / "data" / "a\x0bb\u2028c\x85d"
    rig = Rig(tmp_path, HookSettings(update=(("echo", str(odd / "e")),)))
    assert await rig.update() == Changes.of([(0, odd.name)])
    assert rig.problems == []


async def test_warnings_are_listed_until_the_next_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """R25: what cannot be carried over, such as a printer without its driver."""
    flag = tmp_path / "no-driver"
    flag.touch()
    script = sh(f"test ! -e {flag} || echo 'warning: printer laser: \033[31mno driver'")
    rig = Rig(tmp_path, HookSettings(update=(script,)))
    assert await rig.update() == NOTHING
    (problem,) = rig.problems
    assert problem.endswith(r": printer laser: \x1b[31mno driver")
    await rig.update()
    said = [record for record in caplog.records if "no driver" in record.getMessage()]
    assert len(said) == 1, "known problems are not logged again"
    flag.unlink()
    await rig.update(due=False)
    assert rig.problems == [problem]
    await rig.update()
    assert rig.problems == []


async def test_a_long_warning_is_cut(tmp_path: Path) -> None:
    script = sh("printf 'warning: %02000d\\n' 0")
    rig = Rig(tmp_path, HookSettings(update=(script,)))
    await rig.update()
    (problem,) = rig.scripts.problems
    assert problem.text == "0" * MAX_WARNING_CHARS


@pytest.mark.parametrize("line", ["dump done", "data/export", "/a\\0b", "Warning: no"])
async def test_output_that_is_neither_is_refused(line: str, tmp_path: Path) -> None:
    """R25: none of it is used; the alarm quotes the line and says what is allowed."""
    script = sh(f"echo {tmp_path}/data/export; printf '{line}\\n'")
    rig = Rig(tmp_path, HookSettings(update=(script, sh(f"echo {tmp_path}/data/other/x"))))
    assert await rig.update() == Changes.of([(0, "other")])
    assert rig.alarm.startswith("update-hook-failed: hook sh -c")
    assert "allowed is a line for each changed file, its absolute path" in rig.alarm
    assert line.replace("\\0", "\\x00") in rig.alarm


async def test_scripts_learn_where_they_are(tmp_path: Path) -> None:
    """R25: the folders as JSON, since a name may hold anything."""
    out = tmp_path / "out"
    script = sh(
        'printf "%s\\n" "$SBS_HOOK" "$SBS_NODE" "$SBS_EPOCH" "$SBS_GENERATION" "$SBS_FOLDERS"'
        f" >> {out}"
    )
    rig = Rig(tmp_path, HookSettings(update=(script,), apply=(script,)))
    await rig.update()
    await rig.scripts.apply(Generation(EPOCH, 42, b"d" * 32), {"data": "/srv/\udcff \n"})
    lines = out.read_text().splitlines()
    assert lines[:4] == ["update", "alpha", "7", "41"]
    assert json.loads(lines[4]) == {"data": str(rig.folder)}
    assert lines[5:9] == ["apply", "alpha", "7", "42"]
    assert json.loads(lines[9]) == {"data": "/srv/\udcff \n"}


async def test_apply_scripts_are_logged_and_may_warn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """R25: on this side there are no paths to tell."""
    caplog.set_level(logging.INFO)
    script = sh("echo imported 3; echo 'warning: printer laser has no driver here'")
    rig = Rig(tmp_path, HookSettings(apply=(script, ("false",))))
    await rig.scripts.apply(Generation(EPOCH, 1, b"d" * 32), {})
    assert any(record.getMessage().endswith(": imported 3") for record in caplog.records)
    assert rig.problems[0].endswith(": printer laser has no driver here")
    assert rig.alarm == "apply-hook-failed: hook false: ended with code 1"


async def test_time_limit_is_a_setting(tmp_path: Path) -> None:
    settings = HookSettings(update=(("sleep", "1000"),), timeout_s=0.1)
    rig = Rig(tmp_path, settings)
    await rig.update()
    assert rig.alarm == "update-hook-failed: hook sleep 1000: killed after 0.1 s"


async def test_failure_may_hold_the_update_back(tmp_path: Path) -> None:
    """R25: also the cycles between two runs, until the script succeeds."""
    fault = tmp_path / "fault"
    settings = HookSettings(update=(sh(f"test ! -e {fault}"),), on_update_failure="hold")
    rig = Rig(tmp_path, settings)
    assert await rig.update() == NOTHING
    fault.touch()
    assert await rig.update(due=False) == NOTHING
    for due in (True, False):
        with pytest.raises(ReplicationError, match=r"hooks\.on_update_failure.*ended with code 1"):
            await rig.update(due=due)
    assert "update-hook-failed" in rig.alarm
    fault.unlink()
    assert await rig.update() == await rig.update(due=False) == NOTHING
    assert not rig.alarm
    rig = Rig(tmp_path, attrs.evolve(settings, on_update_failure="alarm"))
    fault.touch()
    assert await rig.update() == await rig.update(due=False) == NOTHING
