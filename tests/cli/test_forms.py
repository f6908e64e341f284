"""What scripts read, and that colours are for terminals alone (B61)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sbs import errors
from sbs.cli.forms import error_form
from sbs.errors import LicenceError, SbsError
from sbs.runtime.operating.client import NoNodeError
from tests.cli.terminal import ENVIRONMENT, Terminal
from tests.cli.test_commands import RIGHT, run
from tests.support import SBS, Pair

FOLDER = '[[folders]]\nname = "data"\npath = "data"\nfilters = ["- *.tmp"]\n'
SERVICE = '[[services.unit]]\nname = "web"\ncommand = ["sleep", "1"]\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text(f"{RIGHT}{FOLDER}{SERVICE}")
    (tmp_path / "data").mkdir()
    return path


def ask(*words: str, code: int = 0) -> Any:
    """The one line of JSON that a command prints."""
    found, out, _ = run(*words, "--json")
    assert (found, out.count("\n")) == (code, 1), out
    return json.loads(out)


def test_config_check_for_scripts(config: Path) -> None:
    found = ask("config", "check", "-c", str(config))
    assert found.pop("listen").endswith(":4445")
    assert found == {
        "path": str(config),
        "warnings": [],
        "name": "alpha",
        "mode": "symmetric",
        "peer": "127.0.0.1:4446",
        "state_dir": str(config.parent / "state"),
        "folders": [{"name": "data", "path": str(config.parent / "data")}],
        "services": ["web"],
    }
    config.write_text(RIGHT + '[witness]\npair = "lab"\n')
    (warning,) = ask("config", "check", "-c", str(config))["warnings"]
    assert "witness.pair" in warning
    (config.parent / "data").rmdir()
    config.write_text(f"{RIGHT}{FOLDER}{SERVICE}")
    (warning,) = ask("config", "check", "-c", str(config))["warnings"]
    assert "does not exist on this machine" in warning
    code, out, err = run("config", "check", "-c", str(config))
    assert (code, err.count("does not exist on this machine")) == (0, 1)
    assert "valid. alpha" in out


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data/a", {"path": "a", "included": True, "number": 0, "rule": ""}),
        ("data/a.tmp", {"path": "a.tmp", "included": False, "number": 1, "rule": "- *.tmp"}),
        ("data", {"path": "", "included": True, "number": 0, "rule": ""}),
    ],
)
def test_explain_for_scripts(config: Path, path: str, expected: dict[str, Any]) -> None:
    found = ask("explain", str(config.parent / path), "-c", str(config))
    assert found == {"folder": "data", **expected}


def test_adapters_for_scripts() -> None:
    found = ask("adapters")["adapters"]
    process = next(each for each in found if each["name"] == "process")
    assert set(process) == {"kind", "name", "value", "package", "version"}
    assert (process["kind"], process["package"]) == ("services", "sbs")


def test_a_pair_for_scripts(pair: Pair) -> None:
    """sync, restore, switchover and drill."""
    pair.start()
    alpha, beta = pair.alpha, pair.beta
    for text in ("blue", "green"):
        (alpha.folder / "settings").write_text(text)
        update = ask("sync", "-c", str(alpha.config))["last_update"]
    assert set(update) == {"at", "files", "bytes", "duration_s"}
    (version,) = ask("history", f"{beta.folder}/settings", "-c", str(beta.config))["versions"]
    words = ("restore", f"{beta.folder}/settings", "--generation", str(version["generation"]))
    refused = ask(*words, "-c", str(beta.config), code=4)["error"]
    assert (refused["kind"], refused["exit_code"]) == ("refused", 4)
    output = str(beta.folder.parent / "old")
    assert ask(*words, "--output", output, "-c", str(beta.config)) == {
        "folder": "data",
        "path": "settings",
        "generation": version["generation"],
        "output": output,
        "changed": True,
        "edited": False,
    }
    assert Path(output).read_text() == "blue"
    found = ask("switchover", "--dry-run", "-c", str(alpha.config))
    assert (found["to"], found["gap_s"]) == ("beta", None)
    assert found["checks"]
    found = ask("drill", "-c", str(alpha.config))
    assert set(found) == {"to", "checks", "gap_s"}
    assert found["to"] == "beta"
    assert found["gap_s"] > 0
    beta.wait_role("primary")


@pytest.mark.parametrize("word", ["sync", "switchover", "drill", "diff", "verify"])
def test_an_error_is_told_to_people_and_to_scripts(word: str, config: Path) -> None:
    code, out, err = run(word, "--json", "-c", str(config))
    text = f"no node is running with state_dir {config.parent / 'state'}"
    assert code == 3
    assert err.startswith(f"Error: {text}\n")
    found = json.loads(out)["error"]
    assert (found["kind"], found["text"], found["exit_code"]) == ("not-running", text, 3)


@pytest.mark.parametrize("words", ["config check", "explain x", "status", "history", "sync"])
def test_a_wrong_configuration_is_told_to_scripts(words: str, config: Path) -> None:
    config.write_text(RIGHT.replace("peer", "pear"))
    found = ask(*words.split(), "-c", str(config), code=78)["error"]
    assert (found["kind"], found["exit_code"]) == ("config", 78)
    assert "node.pear" in found["text"]
    assert found["remedy"]


def test_without_the_option_scripts_are_told_nothing(config: Path) -> None:
    code, out, _ = run("sync", "-c", str(config))
    assert (code, out) == (3, "")


def test_the_kind_of_an_error_is_its_public_class() -> None:
    assert error_form(SbsError("a"))["kind"] == "failed"
    assert error_form(LicenceError("a"))["kind"] == "licence"
    assert error_form(NoNodeError("a"))["kind"] == "not-running"
    public = [each for each in vars(errors).values() if isinstance(each, type)]
    classes = [each for each in public if issubclass(each, SbsError)]
    kinds = {error_form(each.__new__(each))["kind"] for each in classes}
    assert len(kinds) == len(classes) > 10


@pytest.mark.parametrize("words", ["config check", "stop", "probe", "takeover"])
def test_colours_are_for_terminals_and_can_be_switched_off(words: str, config: Path) -> None:
    """https://no-color.org; what is written to a file or a pipe has none."""
    config.write_text(RIGHT + '[witness]\npair = "lab"\n')  # a warning
    command, directory = [*SBS, *words.split(), "-c", str(config)], config.parent
    with Terminal(command, directory) as terminal:
        assert "\x1b[" in terminal.read()
    with Terminal(command, directory, NO_COLOR="1") as terminal:
        shown = terminal.read()
    assert shown
    assert "\x1b[" not in shown
    piped = subprocess.run(
        command, cwd=directory, env=ENVIRONMENT, capture_output=True, check=False
    )
    assert piped.stdout + piped.stderr
    assert b"\x1b[" not in piped.stdout + piped.stderr
