"""``sbs history`` and ``sbs restore`` without a node: what they are told, and what they print."""

from __future__ import annotations

import json
import os
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner

from sbs.cli import main
from sbs.core.history import History
from sbs.replication.former.versions import Versions
from sbs.runtime.lasting.state import StateStore, new_node
from tests.replication.rig import Pair, write


@attrs.frozen
class Stopped:
    """A node that does not run, with a folder ``data`` of three generations."""

    config: Path
    folder: str
    history: History
    held: bool

    def run(self, *words: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(main, [*words, "-c", str(self.config)])
        return result.exit_code, result.stdout, result.stderr


@pytest.fixture(params=[True, False], ids=["it led", "it did not"])
def any_node(request: pytest.FixtureRequest, tmp_path: Path) -> Stopped:
    return make(tmp_path, request.param)


@pytest.fixture
def node(tmp_path: Path) -> Stopped:
    return make(tmp_path, True)


def make(tmp_path: Path, held: bool, *, edited: str = "") -> Stopped:
    with Pair(str(tmp_path / "pair"), versions=Versions(1000.0)) as pair:
        for content in ("one", "two", "three"):
            if edited and content == "three":
                write(f"{pair.b}/file", edited)
            write(f"{pair.a}/file", content)
            write(f"{pair.a}/d/\x1b[31m", content)
            pair.replicate()
    store = StateStore(str(tmp_path / "state"))
    stored = new_node(0)
    durable = attrs.evolve(stored.durable, history=pair.history, held=held)
    store.save(attrs.evolve(stored, durable=durable))
    store.close()
    config = tmp_path / "alpha.toml"
    config.write_text(
        '[node]\nname = "alpha"\npeer = "127.0.0.1:4446"\nstate_dir = "state"\n'
        f'[[folders]]\nname = "data"\npath = "{pair.b}"\n'
        f'[[folders]]\nname = "empty"\npath = "{tmp_path}/empty"\n'
    )
    return Stopped(config, pair.b, pair.history, held)


def test_history_shows_the_generations_of_all_folders(node: Stopped) -> None:
    code, out, _ = node.run("history")
    assert code == 0
    first, newest, *_ = out.splitlines()
    assert first.startswith(f"data ({node.folder}): generations: 3, versions kept: 4, ")
    assert newest.startswith("  generation 3 (epoch 1.0)  20")
    assert "  2 written; kept: 2, " in newest
    assert out.splitlines()[-1].startswith("empty (")
    code, out, _ = node.run("history", "--folder", "data", "--json")
    shown = json.loads(out)
    assert (shown["schema"], shown["node"], len(shown["folders"])) == (1, "alpha", 1)
    assert [each["generation"] for each in shown["folders"][0]["generations"]] == [3, 2, 1]
    assert shown["folders"][0]["generations"][0]["changes"] == {"put": 2}


def test_history_of_a_path_escapes_what_a_terminal_obeys(node: Stopped) -> None:
    code, out, _ = node.run("history", f"{node.folder}/d/\x1b[31m")
    assert code == 0
    first, newest, oldest = out.splitlines()
    assert first == "data/d/\\x1b[31m: versions kept: 2"
    assert newest.startswith("  --generation 2  file, 3 bytes, of 20")
    assert "; replaced by generation 3 (epoch 1.0), 20" in newest
    assert oldest.startswith("  --generation 1  ")
    code, out, _ = node.run("history", "--folder", "data", "./file", "--json")
    shown = json.loads(out)
    assert (shown["folder"], shown["path"]) == ("data", "file")
    assert [each["generation"] for each in shown["versions"]] == [2, 1]
    assert os.path.isfile(f"{node.folder}/{shown['versions'][0]['kept']}")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ("history", "/etc/passwd"),
            "/etc/passwd: in none of the folders of this node, which are: ",
        ),
        (
            ("history", "--folder", "other"),
            "--folder other: allowed are the folders of this node: ",
        ),
        (("history", "--folder", "data", "../a"), "../a: in none of the folders"),
        (("history", "--folder", "data", "."), "allowed are files in folder data"),
        (("history", "--folder", "data", ".sbs.staging/x"), "SBS's own staging directory"),
        (("restore", "--folder", "data", "no", "--generation", "1"), "no version of 'no'"),
        (("restore", "--folder", "data", "file", "--generation", "9"), "numbers up to 3"),
        (("restore", "--folder", "empty", "file", "--generation", "1"), "no versions are kept in"),
    ],
)
def test_wrong_paths_and_numbers(node: Stopped, words: tuple[str, ...], text: str) -> None:
    code, out, err = node.run(*words)
    assert (code, out) == (1, "")
    assert text in err


@pytest.mark.parametrize("words", [("restore", "x"), ("restore", "x", "--generation", "-1")])
def test_wrong_usage(node: Stopped, words: tuple[str, ...]) -> None:
    assert node.run(*words)[0] == 2


def test_restore_in_place_is_for_a_node_that_led(any_node: Stopped) -> None:
    file = f"{any_node.folder}/file"
    code, out, err = any_node.run("restore", file, "--generation", "1")
    if any_node.held:
        assert (code, out) == (0, "data/file is what it was after generation 1\n")
        assert Path(file).read_text() == "one"
        code, out, _ = any_node.run("restore", file, "--generation", "3")
        assert (code, Path(file).read_text()) == (0, "three"), "a restore can be undone"
    else:
        assert (code, out) == (4, "")
        assert "alpha did not lead when it stopped" in err
        assert "--output FILE" in err
        assert Path(file).read_text() == "three"


def test_restore_of_what_was_edited_by_hand_says_so(tmp_path: Path) -> None:
    """B21: as it was, the node has it no more."""
    node = make(tmp_path, True, edited="edited")
    file = f"{node.folder}/file"
    told = "somebody had edited it here by then; what the generation had put is not kept\n"
    code, out, _ = node.run("restore", file, "--generation", "2", "--output", f"{tmp_path}/out")
    assert (code, out) == (0, f"data/file, as it was after generation 2: {tmp_path}/out\n{told}")
    assert Path(f"{tmp_path}/out").read_text() == "edited"
    code, out, _ = node.run("restore", file, "--generation", "2")
    assert (code, out) == (0, f"data/file is what it was after generation 2\n{told}")
    code, out, _ = node.run("restore", file, "--generation", "1")
    assert (code, out) == (0, "data/file is what it was after generation 1\n")
    assert Path(file).read_text() == "one"


def test_nothing_to_restore(node: Stopped) -> None:
    code, out, _ = node.run("restore", f"{node.folder}/file", "--generation", "3")
    assert (code, out) == (0, "data/file is still what it was after generation 3\n")


def test_restore_to_a_file(any_node: Stopped, tmp_path: Path) -> None:
    words = ("restore", f"{any_node.folder}/file", "--generation", "2")
    code, out, _ = any_node.run(*words, "--output", f"{tmp_path}/out")
    assert (code, out) == (0, f"data/file, as it was after generation 2: {tmp_path}/out\n")
    assert Path(f"{tmp_path}/out").read_text() == "two"
    assert Path(f"{any_node.folder}/file").read_text() == "three"
    code, _, err = any_node.run(*words, "--output", f"{tmp_path}/out")
    assert (code, "exists" in err) == (4, True)


def test_a_node_that_starts_or_stops_is_not_disturbed(node: Stopped, tmp_path: Path) -> None:
    store = StateStore(str(tmp_path / "state"))
    code, _, err = node.run("history")
    store.close()
    assert (code, "is in use" in err) == (1, True)


def test_a_node_that_never_ran(tmp_path: Path) -> None:
    config = tmp_path / "new.toml"
    config.write_text('[node]\npeer = "127.0.0.1:4446"\nstate_dir = "state"\n')
    result = CliRunner().invoke(main, ["history", "-c", str(config)])
    assert result.exit_code == 1
    assert "no node has run with state_dir" in result.stderr
    assert not (tmp_path / "state").exists()
