"""Parsing, help and errors, without a node."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sbs import __version__
from sbs.cli import main
from sbs.cli.options import find_state_dir, load_config
from sbs.errors import ConfigError

RIGHT = '[node]\nname = "alpha"\npeer = "127.0.0.1:4446"\nstate_dir = "state"\n'


def run(*words: str, **env: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(words), env={"SBS_CONFIG": None, **env})
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text(RIGHT)
    return path


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_help_has_the_exit_codes(option: str) -> None:
    code, out, _ = run(option)
    assert code == 0
    assert "\n  78  the configuration is wrong\n" in out


def test_the_version_is_one_line() -> None:
    assert run("--version") == (0, f"sbs {__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ("dance",),
        ("takeover", "--now"),
        ("run", "--log-level", "loud"),
        ("status", "extra"),
        ("unit", "start"),
        ("explain",),
        ("probe", "a:b:c"),
        ("probe", "host:70000"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert code == 2
    assert "Usage: " in err
    assert not out


COMMANDS_WITH_CONFIG = [
    ("run",),
    ("stop",),
    ("status",),
    ("switchover",),
    ("drill",),
    ("takeover", "--force"),
    ("pause",),
    ("resume",),
    ("sync",),
    ("unit", "start", "web"),
    ("unit", "stop", "web"),
    ("diff",),
    ("explain", "/etc/passwd"),
    ("config", "check"),
]


@pytest.mark.parametrize("words", COMMANDS_WITH_CONFIG, ids=" ".join)
def test_a_wrong_configuration_ends_with_78_and_says_where(
    words: tuple[str, ...], config: Path
) -> None:
    """R2: without a peer no command does anything."""
    config.write_text(RIGHT.replace("peer", "pear"))
    code, out, err = run(*words, "-c", str(config))
    assert code == 78
    assert err.startswith(f"Error: {config}: ")
    assert "node.pear" in err
    assert "docs/configuration.md" in err
    assert "Traceback" not in err
    assert not out


@pytest.mark.parametrize(
    "words",
    [
        ("stop",),
        ("switchover",),
        ("drill",),
        ("takeover",),
        ("pause",),
        ("diff",),
        ("unit", "stop", "web"),
    ],
    ids=" ".join,
)
def test_without_a_node_a_command_ends_with_3_and_says_what_to_do(
    words: tuple[str, ...], config: Path
) -> None:
    code, out, err = run(*words, "-c", str(config))
    assert code == 3
    assert err == (
        f"Error: no node is running with state_dir {config.parent / 'state'}\n"
        "       Start it: systemctl start sbs if SBS is a service here, else sbs run -c FILE.\n"
    )
    assert not out


def test_the_environment_names_the_configuration(config: Path) -> None:
    code, out, _ = run("config", "check", SBS_CONFIG=str(config))
    assert code == 0
    assert out.startswith(f"{config}: valid. alpha (symmetric) listens on 127.0.0.1:4445, ")


def test_a_configuration_with_settings_of_no_effect_is_valid_with_a_warning(config: Path) -> None:
    config.write_text(RIGHT + '[witness]\npair = "lab"\n')
    code, out, err = run("config", "check", "-c", str(config))
    assert code == 0
    assert "valid" in out
    assert err.startswith("Warning: ")
    assert "witness.pair" in err


def test_the_adapters_are_listed_with_the_package_that_brings_them() -> None:
    code, out, _ = run("adapters")
    assert code == 0
    for line in (
        "services  process  sbs.adapters.services.process:open_controller  (sbs ",
        "services  systemd  sbs.adapters.services.systemd.controller:open_controller  (sbs ",
        "witnesses  etcd  sbs.adapters.witnesses.etcd:open_witness  (sbs ",
        "witnesses  folder  sbs.adapters.witnesses.folder:open_witness  (sbs ",
    ):
        assert f"\n{line}" in f"\n{out}"


@pytest.mark.parametrize("line", ['state_dir = "state"', 'state_dir = "../a/./state"', ""])
def test_the_quick_way_to_the_state_directory_finds_the_configured_one(
    line: str, config: Path
) -> None:
    config.write_text(RIGHT.replace('state_dir = "state"', line))
    found = find_state_dir(str(config))
    assert Path(found) == Path(load_config(str(config)).node.state_dir)


@pytest.mark.parametrize("text", ["[node", "node = 3\n", "[node]\nstate_dir = 5\n"])
def test_a_file_that_names_no_state_directory_is_a_wrong_configuration(
    text: str, config: Path
) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError, match=r"alpha\.toml"):
        find_state_dir(str(config))


class TestExplain:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        path = tmp_path / "alpha.toml"
        folder = '[[folders]]\nname = "data"\npath = "data"\n'
        path.write_text(RIGHT + folder + 'filters = ["- *.tmp", "- cache/", "+ keep.tmp"]\n')
        (tmp_path / "data").mkdir()
        return path

    @pytest.mark.parametrize(
        ("path", "answer"),
        [
            ("data/a", "included: a: no rule of folder data matches"),
            ("data/a.tmp", "excluded: a.tmp: rule 1 of folder data: - *.tmp"),
            ("data/x/keep.tmp", "included: x/keep.tmp: rule 3 of folder data: + keep.tmp"),
            ("data/cache/", "excluded: cache: rule 2 of folder data: - cache/"),
            ("data/cache", "included: cache: no rule of folder data matches"),
            ("data/cache/keep.tmp", "excluded: cache/keep.tmp: rule 2 of folder data: - cache/"),
            ("data/\x1b[2J", "included: \\x1b[2J: no rule of folder data matches"),
        ],
    )
    def test_the_deciding_rule_is_named(self, path: str, answer: str, config: Path) -> None:
        """R21, B26."""
        code, out, _ = run(
            "explain", str(config.parent / path) + "/" * path.endswith("/"), "-c", str(config)
        )
        assert (code, out) == (0, answer + "\n")

    def test_the_folder_itself_is_included(self, config: Path) -> None:
        code, out, _ = run("explain", str(config.parent / "data"), "-c", str(config))
        assert code == 0
        assert out.endswith(" is the folder data itself\n")

    @pytest.mark.parametrize("path", ["other", "data2/a", "data/../x"])
    def test_a_path_in_no_folder_fails_and_names_the_folders(self, path: str, config: Path) -> None:
        code, out, err = run("explain", str(config.parent / path), "-c", str(config))
        assert code == 1
        assert not out
        assert f"in none of the folders of {config}, which are: {config.parent}/data" in err

    def test_a_link_in_the_folder_is_itself_meant_not_its_target(self, config: Path) -> None:
        (config.parent / "data/link.tmp").symlink_to("/etc/passwd")
        code, out, _ = run("explain", str(config.parent / "data/link.tmp"), "-c", str(config))
        assert (code, out) == (0, "excluded: link.tmp: rule 1 of folder data: - *.tmp\n")
