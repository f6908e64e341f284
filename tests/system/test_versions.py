"""What an update destroyed can be had back, on either node (B21)."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.support import wait_until
from tests.system.nodes import Node, Pair


def versions(node: Node, path: str) -> list[dict[str, Any]]:
    """What ``sbs history PATH --json`` lists, newest first."""
    done = node.sbs("history", "--folder", "data", path, "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["versions"]
    return found


def replaced(node: Node, path: str, count: int) -> None:
    """Wait until so many versions of a path are kept."""
    wait_until(lambda: len(versions(node, path)) == count, f"{count} versions of {path}")


def test_history_and_restore(pair: Pair) -> None:
    """B21: overwritten and deleted on the primary, read on the secondary, restored after a
    takeover; the restored file travels back."""
    pair.configure({"sync": {"strict_delete": True}})
    source = pair.alpha.folder
    (source / "settings").write_text("right")
    (source / "deleted").write_text("still needed")
    os.chmod(source / "settings", 0o640)
    alpha, beta = pair.start()
    beta.wait_file("deleted", b"still needed")
    (source / "settings").write_text("wrong")
    replaced(beta, "settings", 1)
    (source / "deleted").unlink()
    replaced(beta, "deleted", 1)
    (version,) = versions(beta, "settings")
    (gone,) = versions(beta, "deleted")
    assert (version["bytes"], version["action"], gone["action"]) == (5, "put", "delete")
    shown = beta.sbs("history")
    assert shown.returncode == 0
    assert shown.stdout.startswith(f"data ({beta.folder}): generations: 3, versions kept: 2, ")
    assert alpha.sbs("history").stdout.endswith("versions kept: 0, 0 bytes\n")

    output = beta.directory / "output"
    wanted = ("restore", str(beta.folder / "settings"), "--generation", str(version["generation"]))
    refused = beta.sbs(*wanted)
    assert refused.returncode == 4
    assert "beta is not the primary" in refused.stderr
    assert "--output FILE" in refused.stderr
    done = beta.sbs(*wanted, "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert output.read_text() == "right"
    assert (beta.folder / "settings").read_text() == "wrong"

    alpha.kill()
    beta.wait_role("primary")
    alpha.start()
    pair.wait_settled(beta, alpha)
    assert beta.sbs(*wanted).returncode == 0
    restored = beta.folder / "settings"
    assert (restored.read_text(), restored.stat().st_mode & 0o777) == ("right", 0o640)
    alpha.wait_file("settings", b"right")
    back = beta.sbs(
        "restore", "--folder", "data", "deleted", "--generation", str(gone["generation"])
    )
    assert back.returncode == 0, back.stderr
    assert "data/deleted is what it was after generation" in back.stdout
    alpha.wait_file("deleted", b"still needed")
    assert [each["action"] for each in versions(beta, "settings")] == ["restore", "put"]
    replaced(alpha, "settings", 1)  # it follows now, and keeps what was wrong


def test_restore_without_a_running_node(pair: Pair) -> None:
    """B21: directly in the folders, where the node led last; elsewhere only to a file."""
    (pair.alpha.folder / "file").write_text("one")
    alpha, beta = pair.start()
    beta.wait_file("file", b"one")
    (alpha.folder / "file").write_text("two")
    replaced(beta, "file", 1)
    beta.kill()
    wanted = ("restore", str(beta.folder / "file"), "--generation", "1")
    refused = beta.sbs(*wanted)
    assert (refused.returncode, "did not lead" in refused.stderr) == (4, True)
    assert beta.sbs(*wanted, "--output", str(beta.directory / "output")).returncode == 0
    assert (beta.directory / "output").read_text() == "one"
    beta.start()
    pair.wait_settled(alpha, beta)
    alpha.kill()
    beta.wait_role("primary")
    beta.kill()
    done = beta.sbs(*wanted)
    assert done.returncode == 0, done.stderr
    assert (beta.folder / "file").read_text() == "one"
    beta.start()
    beta.wait_role("primary")
    alpha.start()
    alpha.wait_file("file", b"one")


def test_versions_are_removed_while_the_node_runs(pair: Pair) -> None:
    """B21: by size, after an update; the log says what and why."""
    pair.configure({"sync": {"keep_versions_bytes": 50_000}})
    (pair.alpha.folder / "file").write_text("0" * 40_000)
    alpha, beta = pair.start()
    beta.wait_file("file", b"0" * 40_000)
    for turn in ("1", "2"):
        (alpha.folder / "file").write_text(turn * 40_000)
        beta.wait_file("file", turn.encode() * 40_000)
    beta.wait_logged("are more than 50000 (sync.keep_versions_bytes)")
    wait_until(lambda: len(versions(beta, "file")) == 1, "one version is left")


def test_versions_that_are_switched_off(pair: Pair) -> None:
    pair.configure({"sync": {"keep_versions_s": 0}})
    (pair.alpha.folder / "file").write_text("one")
    alpha, beta = pair.start()
    beta.wait_file("file", b"one")
    (alpha.folder / "file").write_text("two")
    beta.wait_file("file", b"two")
    assert versions(beta, "file") == []
    assert not (beta.folder / ".sbs.staging" / "versions").exists()
