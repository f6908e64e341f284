"""What the command line says where the environment asks for German, by real processes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_init import LATER, ask
from tests.support import Pair
from tests.support import sbs as run


def sbs(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, in German unless the variables say otherwise."""
    return run(*arguments, **{"LANG": "C.UTF-8", "LANGUAGE": "de", **variables})


def test_help_is_in_german() -> None:
    done = sbs("-h")
    assert done.returncode == 0
    for words in (
        "Aufruf: sbs",
        "Optionen:",
        "Diese Hilfe zeigen und beenden.",
        "Wenn etwas nicht stimmt:",
        "sync        Jetzt einen Abgleich ausführen, vor Ablauf des Intervalls.",
        "  4   durch eine Regel abgelehnt",
        "  sbs status                   sehen, wie es einem Knoten geht",
    ):
        assert words in done.stdout
    done = sbs("restore", "-h")
    assert "Für versehentlich Überschriebenes oder Gelöschtes; sbs history PATH" in done.stdout
    assert "Wie sie nach dieser war.  [x>=0; erforderlich]" in done.stdout
    assert "  sbs restore /srv/app/settings/main.ini --generation 11" in done.stdout


def test_help_is_in_english_where_nothing_else_is_asked_for() -> None:
    for variables in ({"LANGUAGE": "en"}, {"LANGUAGE": "", "LANG": "C.UTF-8"}):
        done = sbs("restore", "-h", **variables)
        assert "Get a file back as it was after a generation." in done.stdout
        assert "Show this message and exit." in done.stdout


def test_errors_are_in_german(tmp_path: Path) -> None:
    done = sbs("restor")
    assert done.returncode == 2
    assert "Fehler: Kein solcher Befehl: 'restor'. (Meinten Sie" in done.stderr
    done = sbs("restore")
    assert done.returncode == 2
    assert "Fehler: Argument fehlt 'PATH'." in done.stderr
    path = tmp_path / "alpha.toml"
    path.write_text('[node]\npeer = "127.0.0.1:4446"\nstate_dir = "state"\n')
    done = sbs("sync", "-c", path)
    assert done.returncode == 3
    assert "Starten Sie ihn: systemctl start sbs, falls SBS hier ein Dienst ist" in done.stderr


def test_status_is_in_german_and_json_is_not(tmp_path: Path) -> None:
    with Pair(tmp_path, units={"web": ["sleep", "1000"]}) as pair:
        pair.start()
        done = sbs("status", "-c", pair.alpha.config)
        assert done.returncode == 0
        assert done.stdout.startswith("PRIMÄR\n")
        assert "  Gegenstelle beta auf 127.0.0.1:" in done.stdout
        assert ": sekundär, verbunden" in done.stdout
        both = [
            sbs("status", "--json", "-c", pair.alpha.config, LANGUAGE=name).stdout
            for name in ("de", "en")
        ]
        german, english = (_lasting(json.loads(text)) for text in both)
        assert german == english
        assert german["role"] == "primary"
        done = sbs("switchover", "--dry-run", "-c", pair.alpha.config)
        assert "beta könnte übernehmen:" in done.stdout
        done = sbs("sync", "-c", pair.alpha.config)
        assert done.stdout.startswith("der Sekundärknoten hat alles")
    done = sbs("status", "-c", pair.alpha.config)
    assert done.returncode == 3
    assert "kein Knoten läuft; starten Sie ihn: systemctl start sbs" in done.stdout


def _lasting(status: dict[str, Any]) -> dict[str, Any]:
    """Without what each update changes."""
    changing = ("generation", "last_update", "progress", "primacies", "behind_since")
    return {name: value for name, value in status.items() if name not in changing}


def test_a_person_is_asked_in_german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "de")
    path = tmp_path / "sbs.toml"
    answers = ["alpha", "127.0.0.1:4446", "127.0.0.1:4445", "/srv/state", "", *LATER]
    code, screen = ask(path, answers)
    assert code == 0, screen
    for words in (
        "Name dieses Knotens [",
        "Adresse des anderen Knotens: ",
        "Erster Ordner, der repliziert wird, falls gewünscht: ",
        "(n: Antworten ändern)? [Y/n]: ",
        "Jetzt koppeln? wait: hier einen Code zeigen",
        "weiter:",
        "sbs init auf dem anderen Knoten",
    ):
        assert words in screen, screen


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text('[node]\nname = "alpha"\npeer = 5\nmod = "symmetric"\n')
    return path


def test_problems_of_a_configuration_are_in_german(wrong: Path) -> None:
    done = sbs("config", "check", "-c", wrong)
    assert done.returncode == 78
    assert "node.mod: unbekannter Schlüssel; meinten Sie node.mode?" in done.stderr
    assert "node.peer = 5: ist eine ganze Zahl, erwartet wird eine Adresse: host" in done.stderr


def test_what_a_script_reads_is_in_english(wrong: Path) -> None:
    for command in (("config", "check"), ("probe",)):
        done = sbs(*command, "--json", "-c", wrong)
        assert done.returncode == 78
        assert "node.mod: unknown key; did you mean node.mode?" in done.stdout
        assert done.stdout == sbs(*command, "--json", "-c", wrong, LANGUAGE="en").stdout


def test_what_goes_to_a_log_is_in_english(wrong: Path) -> None:
    for variables in ({}, {"LANGUAGE": "", "LANG": "de_DE.UTF-8"}):
        done = sbs("run", "-c", wrong, **variables)
        assert done.returncode == 78
        assert "node.mod: unknown key; did you mean node.mode?" in done.stderr
