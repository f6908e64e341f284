"""Two primaries in a partition, both written to: healed, one leads, and nothing is lost (B4)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.system.labpair import LabPair
from tests.system.netns import lab
from tests.system.nodes import Node

PARTITION_S: Final = float(os.environ.get("SBS_PARTITION_S", "10"))

QUARANTINE: Final = Path(".sbs.staging") / "quarantine"

Tree = Mapping[str, bytes]

BEFORE: Final[Tree] = dict.fromkeys(
    (
        *("untouched", "both-change", "both-change-alike", "deep/down/both-change"),
        *("alpha-changes", "alpha-deletes", "alpha-deletes-beta-changes"),
        *("beta-changes", "beta-deletes", "beta-deletes-alpha-changes"),
    ),
    b"before the partition",
)
"""What both nodes hold before."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[LabPair]:
    """Two nodes on two hosts, with default settings."""
    with lab() as hosts:
        pair = LabPair(tmp_path, hosts, {})
        try:
            yield pair
        finally:
            pair.end()


def write(node: Node, name: str, content: bytes) -> None:
    path = node.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def change_both(pair: LabPair) -> None:
    """What people might do on two primaries: the same names, and others."""
    for node in pair.nodes:
        me, other = node.name, pair.other(node).name
        mine = f"written by {me}".encode()
        for name in (
            *("both-change", "deep/down/both-change", f"{me}-changes", f"new-of-{me}"),
            *(f"deep/new-of-{me}/file", "new-of-both", f"{other}-deletes-{me}-changes"),
        ):
            write(node, name, mine * 1000)
        write(node, "empty-or-not", mine if node is pair.alpha else b"")
        write(node, "both-change-alike", b"written by both")
        for name in (f"{me}-deletes", f"{me}-deletes-{other}-changes"):
            (node.folder / name).unlink()


def tree_of(node: Node) -> dict[str, bytes]:
    """What stands in a node's folder, without what SBS keeps there."""
    files = (path for path in node.folder.rglob("*") if path.is_file())
    found = {str(path.relative_to(node.folder)): path.read_bytes() for path in files}
    return {name: content for name, content in found.items() if not name.startswith(".sbs")}


def shown(node: Node) -> dict[str, Any]:
    """What ``sbs status --json`` prints."""
    status: dict[str, Any] = json.loads(node.sbs("status", "--json").stdout)
    return status


@pytest.mark.parametrize("strict_delete", [False, True])
def test_what_both_sides_wrote_in_a_partition_is_kept(pair: LabPair, strict_delete: bool) -> None:
    """B4, must show 5: one primary; each version stands or is in quarantine; both nodes say so."""
    pair.configure({"sync": {"strict_delete": strict_delete}})
    for name, content in BEFORE.items():
        write(pair.alpha, name, content)
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    pair.beta.start()
    pair.wait_settled(pair.alpha, pair.beta)
    assert pair.alpha.sbs("sync").returncode == 0  # both have the same, and both know it
    assert tree_of(pair.beta) == BEFORE

    parted_at = time.monotonic()
    pair.lab.cut("a", "b")
    pair.wait(pair.overlaps, "both serve")
    change_both(pair)
    time.sleep(max(0.0, parted_at + PARTITION_S - time.monotonic()))
    written = {node.name: tree_of(node) for node in pair.nodes}
    assert written["alpha"] != written["beta"]
    pair.lab.heal("a", "b")

    pair.wait(
        lambda: {node.role for node in pair.nodes} == {"primary", "secondary"}, "one gives way"
    )
    winner, loser = sorted(pair.nodes, key=lambda node: node.role)
    pair.wait_settled(winner, loser)
    only_lost = written[loser.name].keys() - written[winner.name].keys()
    left = {} if strict_delete else {name: written[loser.name][name] for name in only_lost}
    pair.wait(lambda: tree_of(loser) == {**written[winner.name], **left}, "the loser has it all")
    check_kept(winner, loser, written)
    check_conflicts(winner, loser, written)


def check_kept(winner: Node, loser: Node, written: Mapping[str, Tree]) -> None:
    """Not a byte is lost: neither of the winner's, which stand, nor of the loser's."""
    assert tree_of(winner) == written[winner.name]
    kept = {path.read_bytes() for path in (loser.folder / QUARANTINE).rglob("*") if path.is_file()}
    diverged = diverging(loser, written)
    assert len(diverged) >= 5
    assert {content for _, content in diverged} <= kept


def diverging(loser: Node, written: Mapping[str, Tree]) -> set[tuple[str, bytes]]:
    """The loser's versions that stand in no tree, and did not before the partition."""
    return written[loser.name].items() - {*tree_of(loser).items(), *BEFORE.items()}


def check_conflicts(winner: Node, loser: Node, written: Mapping[str, Tree]) -> None:
    """Both nodes list exactly the versions that are nowhere but in the loser's quarantine."""
    diverged = diverging(loser, written)
    for node in (winner, loser):
        node.wait_alarm("quarantine")
        conflicts = shown(node)["conflicts"]
        assert {each["node"] for each in conflicts} == {loser.name}
        found = {(each["path"], (loser.folder / each["kept"]).read_bytes()) for each in conflicts}
        assert found == diverged
        assert len(conflicts) == len(diverged)
