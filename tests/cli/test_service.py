"""R31: the unit of SBS itself, as far as no systemd is needed; ``tests/systemd`` has the rest."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sbs.adapters.services.systemd import own_service
from sbs.adapters.services.systemd.own_service import unit_file
from sbs.cli.service import _require_linux
from sbs.config import reading
from sbs.errors import ServiceError
from tests.cli.test_commands import RIGHT, run
from tests.support import require


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "al%pha $1.toml"
    path.write_text(RIGHT)
    return path


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where units would lie, on a machine where systemd runs and the user is root."""
    directory = tmp_path / "units"
    directory.mkdir()
    monkeypatch.setattr(own_service, "UNITS", directory)
    monkeypatch.setattr(own_service, "UNIT_DIR", directory)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(reading, "distrust", lambda *_: "")  # the files are not root's
    return directory


def test_the_unit_is_shown_without_installing_anything(config: Path) -> None:
    """What systemd would expand is escaped."""
    code, out, err = run("service", "install", "--print", "-c", str(config))
    assert code == 0, err
    path = str(config).replace("%", "%%").replace("$", "$$")
    assert f'\nExecStart={sys.executable} -P -m sbs run -c "{path}"\n' in out
    assert "\nType=notify\n" in out
    assert out.startswith(own_service.MARK)


def test_a_program_that_others_can_change_is_a_warning(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B62: as a service it runs as root."""
    require(root=True)
    assert run("service", "install", "--print", "-c", str(config))[2] == ""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.parent.chmod(0o777)
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    code, out, err = run("service", "install", "--print", "-c", str(config))
    assert code == 0
    assert f"\nExecStart={python} -P -m sbs" in out
    assert err == (
        f"Warning: {python.parent}, where python lies: everybody can write to it; run chmod o-w "
        "on it; the service runs it as root\n"
    )


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/usr/bin/sbs", "/usr/bin/sbs"),
        ("a b", '"a b"'),
        ('"', '"\\""'),
        ("\\", '"\\\\"'),
        ("", '""'),
        ("50%", "50%%"),
        ("$HOME", '"$$HOME"'),
        ("\u00e4", '"\u00e4"'),
    ],
)
def test_arguments_are_written_as_systemd_reads_them(word: str, written: str) -> None:
    assert f"\nExecStart=sbs {written}\n" in unit_file(["sbs", word], "c")


def test_a_wrong_configuration_is_not_installed(config: Path, units: Path) -> None:
    config.write_text(RIGHT.replace("peer", "pear"))
    code, _, err = run("service", "install", "-c", str(config))
    assert code == 78
    assert "node.pear" in err
    assert not any(units.iterdir())


def test_a_unit_of_somebody_else_is_left_alone(config: Path, units: Path) -> None:
    (units / "sbs.service").write_text("[Service]\n")
    for words in (("install", "-c", str(config)), ("uninstall",)):
        code, _, err = run("service", *words)
        assert code == 1
        assert "sbs.service was not written by sbs service install; it is left alone" in err
    assert (units / "sbs.service").read_text() == "[Service]\n"


def test_taking_out_what_is_not_installed_is_done_at_once(units: Path) -> None:
    code, out, _ = run("service", "uninstall", "--name", "sbs-2")
    assert (code, out) == (0, f"{units / 'sbs-2.service'} is not installed\n")


def test_only_root_installs(config: Path, units: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    code, _, err = run("service", "install", "-c", str(config))
    assert code == 1
    assert "only root may install services: run it with sudo" in err


def test_without_systemd_nothing_is_installed(
    config: Path, units: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_service, "UNIT_DIR", units / "nowhere")
    code, _, err = run("service", "install", "-c", str(config))
    assert code == 1
    assert "systemd does not run here; sbs service install --print shows the unit" in err


@pytest.mark.parametrize("name", ["../x", "a b", "", "x" * 201])
def test_a_name_that_cannot_be_one_is_refused(name: str, units: Path) -> None:
    code, _, err = run("service", "uninstall", "--name", name)
    assert code == 1
    assert "allowed are letters, digits and :_.-" in err


@pytest.mark.parametrize(
    ("platform", "why"),
    [("win32", "a node does not run on Windows yet"), ("freebsd14", "it needs systemd")],
)
def test_other_systems_are_refused_with_the_reason(platform: str, why: str) -> None:
    with pytest.raises(ServiceError, match=why):
        _require_linux(platform)
