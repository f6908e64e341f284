"""What is told of versions in quarantine (B4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbs.core.messages import Finding, Findings
from sbs.replication.former.quarantine import Quarantine
from sbs.runtime.alarms import Alarms
from sbs.runtime.updating.conflicts import Conflict, Conflicts
from tests.replication.rig import write


def kept(path: str, generation: int = 7) -> Finding:
    return Finding(
        folder="data", path=path, kept=f".sbs.staging/quarantine/1.0-{generation}/{path}"
    )


def found(*findings: Finding, untold: int = 0) -> Findings:
    return Findings(findings=findings, total=len(findings) + untold)


@pytest.fixture
def alarms() -> Alarms:
    return Alarms()


@pytest.fixture
def conflicts(alarms: Alarms) -> Conflicts:
    return Conflicts("alpha", Quarantine(), alarms)


def text_of(alarms: Alarms) -> str:
    (alarm,) = alarms.standing
    assert alarm.code == "quarantine"
    return alarm.text


def test_what_the_follower_keeps_is_an_alarm_of_the_leader(
    conflicts: Conflicts, alarms: Alarms
) -> None:
    """B4: both nodes list it."""
    conflicts.take("beta", found(kept("a")))
    assert conflicts.listed == (
        Conflict(
            node="beta",
            folder="data",
            path="a",
            kept=".sbs.staging/quarantine/1.0-7/a",
            generation=7,
        ),
    )
    assert text_of(alarms) == (
        "1 file of beta differed from what both nodes had, and would have been lost; kept:"
        " data/a -> data/.sbs.staging/quarantine/1.0-7/a; compare, copy back what is needed,"
        " then remove it"
    )
    conflicts.take("beta", found(*(kept(name) for name in "abcde"), untold=6))
    assert text_of(alarms).startswith("11 files of beta differed")
    assert "data/c -> " in text_of(alarms)
    assert "data/d" not in text_of(alarms)
    assert " and 8 more; compare" in text_of(alarms)
    conflicts.take("beta", found())
    assert not alarms.standing
    assert not conflicts.listed


def test_what_the_follower_could_not_do_is_a_problem(conflicts: Conflicts, alarms: Alarms) -> None:
    """R22: it is told where somebody looks."""
    refused = Finding(folder="data", path="f\n", text="something is in the way")
    conflicts.take("beta", found(refused, kept("a"), untold=3))
    assert [(each.path, each.text) for each in conflicts.problems] == [
        (r"data/f\n", "on beta: something is in the way")
    ]
    conflicts.take("beta", found(refused, untold=3))
    assert [(each.path, each.text) for each in conflicts.problems[1:]] == [("beta", "and 3 more")]
    assert alarms.standing == ()
    conflicts.forget_problems()
    assert not conflicts.problems
    note = Finding(folder="data", path="", text="owners cannot be set", note=True)
    conflicts.take("beta", found(note))
    assert [(each.path, each.note) for each in conflicts.problems] == [("data", True)]


def test_it_stands_while_the_session_does_not(conflicts: Conflicts, alarms: Alarms) -> None:
    """B4: until this node follows itself, and the other speaks for itself."""
    conflicts.take("beta", found(kept("a")))
    conflicts.forget_problems()
    assert alarms.standing
    conflicts.forget_told()
    assert not alarms.standing
    assert not conflicts.listed


def test_names_cannot_deceive_a_terminal(conflicts: Conflicts, alarms: Alarms) -> None:
    """Adversarial: a file name, or a peer, may hold anything."""
    conflicts.take("be\x1bta", found(Finding(folder="da\x1bta", path="\x1b[2J", kept="\x1b")))
    assert "\x1b" not in text_of(alarms)
    (conflict,) = conflicts.listed
    assert conflict.generation == 0
    assert conflict.path == r"\x1b[2J"


def test_this_nodes_own_come_first(tmp_path: Path, alarms: Alarms) -> None:
    """B4."""
    place = f"{tmp_path}/data"
    own = ".sbs.staging/quarantine/1.0-3/own"
    write(f"{place}/{own}")
    write(
        f"{place}/.sbs.staging/quarantine/list.jsonl",
        f'{{"path": "own", "kept": "{own}", "generation": 3}}\n',
    )
    quarantine = Quarantine()
    quarantine.watch({"data": place})
    conflicts = Conflicts("alpha", quarantine, alarms)
    conflicts.take("beta", found(kept("a", 12)))
    assert [(each.node, each.path, each.generation) for each in conflicts.listed] == [
        ("alpha", "own", 3),
        ("beta", "a", 12),
    ]
    assert "1 file of alpha" in text_of(alarms)
    assert "; 1 file of beta" in text_of(alarms)
