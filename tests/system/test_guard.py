"""An update that would destroy the secondary's data is held, and people see and decide (B22)."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from sbs.cli.folders import MAX_PATHS_SHOWN
from tests.support import wait_until
from tests.system.nodes import Node, Pair

FILES = {f"directory/file-{number}": b"%d" % number for number in range(30)}


def files_of(node: Node) -> dict[str, bytes]:
    return {
        str(path.relative_to(node.folder)): path.read_bytes()
        for top in node.folder.iterdir()
        if top.name != ".sbs.staging"  # it comes and goes
        for path in (top, *top.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def filled(pair: Pair) -> tuple[Node, Node]:
    """Thirty files on both nodes, and what is deleted on one is deleted on the other."""
    pair.configure({"sync": {"strict_delete": True, "period_s": 0.5}})
    (pair.alpha.folder / "directory").mkdir()
    for name, content in FILES.items():
        (pair.alpha.folder / name).write_bytes(content)
    alpha, beta = pair.start()
    wait_until(lambda: files_of(beta) == FILES, "beta has all files")
    return alpha, beta


def held(node: Node) -> dict[str, Any]:
    found = node.status()["held"]
    assert isinstance(found, dict)
    return found


def test_adversarial_12_an_emptied_folder_is_held_shown_and_released(
    filled: tuple[Node, Node],
) -> None:
    alpha, beta = filled
    (alpha.folder / "directory").rename(alpha.folder.with_name("moved"))  # all at once
    text = alpha.wait_alarm("update-held")
    assert "30 of 30 files on the secondary would be deleted" in text
    found = held(alpha)
    assert found["deletes"] == 30
    assert [each["cause"] for each in found["reasons"]] == ["too-many-deletes", "emptied"]

    (alpha.folder / "new").write_bytes(b"held, too")  # from now on it is not emptied
    refused = alpha.sbs("sync", "--accept", found["id"])
    assert refused.returncode == 4
    assert f"'{found['id']}' is not what is held" in refused.stderr
    now = held(alpha)
    assert f"sbs sync --accept {now['id']}" in refused.stderr
    refused = alpha.sbs("sync")
    assert refused.returncode == 4
    assert f"sbs sync --accept {now['id']}" in refused.stderr

    assert files_of(beta) == FILES
    assert f"update {now['id']}, 30 deletes" in alpha.sbs("status").stdout
    shown = alpha.sbs("diff").stdout
    assert "\n- data/directory/file-0\n" in shown
    assert f"and {30 + 1 + 1 - MAX_PATHS_SHOWN} more" in shown  # the directory, and the new file
    assert f"held as {now['id']}" in shown
    listed = json.loads(alpha.sbs("diff", "--json").stdout)
    assert (listed["deleted"], listed["added"], listed["held"]) == (31, 1, now)

    assert alpha.sbs("sync", "--accept", now["id"]).returncode == 0
    assert files_of(beta) == {"new": b"held, too"}
    wait_until(lambda: "update-held" not in alpha.alarms, "the alarm is over")
    assert alpha.status()["held"] is None


def test_adversarial_12_a_restart_of_the_primary_releases_nothing(
    filled: tuple[Node, Node],
) -> None:
    """Neither does a takeover meanwhile: then the data is where the secondary had it."""
    alpha, beta = filled
    folder = alpha.folder
    folder.rename(folder.with_name("unmounted"))
    folder.mkdir()
    (folder / ".marker").touch()
    alpha.wait_alarm("update-held")
    before = held(alpha)
    assert "other-root" in [each["cause"] for each in before["reasons"]]
    alpha.configure({"sync": {"max_deletes": "off"}})
    beta.configure({"failover": {"start_alone": "only-if-last-primary"}})
    beta.stop()
    alpha.kill()
    alpha.start()
    alpha.wait_role("primary")
    beta.start()
    beta.wait_role("secondary")
    alpha.wait_alarm("update-held")
    assert [each["cause"] for each in held(alpha)["reasons"]] == ["other-root"]
    assert files_of(beta) == FILES

    alpha.kill()
    beta.wait_role("primary")
    assert files_of(beta) == FILES
    shutil.rmtree(folder)
    folder.with_name("unmounted").rename(folder)
    alpha.start()
    alpha.wait_role("secondary")
    wait_until(lambda: not (held_or_none(beta) or held_or_none(alpha)), "nothing is held")
    assert files_of(alpha) == files_of(beta) == FILES


def held_or_none(node: Node) -> Any:
    return node.status()["held"]


def test_adversarial_12_a_disk_that_is_mounted_again_ends_the_alarm_by_itself(
    filled: tuple[Node, Node],
) -> None:
    alpha, beta = filled
    folder, away = alpha.folder, alpha.folder.with_name("unmounted")
    folder.rename(away)
    folder.mkdir()
    alpha.wait_alarm("update-held")
    folder.rmdir()
    away.rename(folder)
    (folder / "new").write_bytes(b"again")
    beta.wait_file("new", b"again")
    alpha.wait_no_alarm()
    assert files_of(beta) == {**FILES, "new": b"again"}


def test_adversarial_21_a_changed_filter_is_held_over_a_restart(pair: Pair) -> None:
    pair.configure({"sync": {"strict_delete": True, "max_deletes": "off"}})
    for node in pair.nodes:
        node.tables["folders"][0]["filters"] = ["- *.local"]
        node.configure({})
    (pair.alpha.folder / "file").write_text("both")
    (pair.beta.folder / "kept.local").write_text("of beta")
    alpha, beta = pair.start()
    beta.wait_file("file", b"both")
    for node in pair.nodes:
        node.stop()
        node.tables["folders"][0]["filters"] = []
        node.configure({})
    alpha.start()
    alpha.wait_role("primary")
    beta.start()
    assert "filters" in alpha.wait_alarm("update-held")
    assert (beta.folder / "kept.local").read_text() == "of beta"
    shown = alpha.sbs("diff")
    assert shown.returncode == 0
    assert "- data/kept.local\n" in shown.stdout


def test_a_dry_run_says_where_it_can_be_run(pair: Pair) -> None:
    """B26."""
    alpha, beta = pair.start()
    refused = beta.sbs("diff")
    assert refused.returncode == 4
    assert "run this on the primary" in refused.stderr
    assert alpha.sbs("diff").stdout == "nothing to send: the secondary has everything\n"
    beta.stop()
    alpha.wait_alarm("no-secondary")
    refused = alpha.sbs("diff")
    assert refused.returncode == 4
    assert "there is no secondary" in refused.stderr
    alpha.stop()
    assert alpha.sbs("diff").returncode == 3
