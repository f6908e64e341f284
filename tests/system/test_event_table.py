"""Every cell of the table in ``docs/roles.md``, on three hosts: what happens is what it says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sbs.core.claim import Policy
from tests.support import Etcd
from tests.system import plays_losses, plays_network, plays_orders
from tests.system.event_table import NOT_APPLICABLE, Cell, read_cells, rows_in
from tests.system.labpair import PORT, LabPair
from tests.system.netns import Lab, lab
from tests.system.scene import Scene

_PORTS = itertools.count(PORT)
"""One for each pair: the fencer of the pair before may hold its port for a second more."""

_ROWS = rows_in(plays_losses, plays_network, plays_orders)


def _cases() -> Iterator[object]:
    for cell in read_cells():
        row = _ROWS.get(cell.event)
        if cell.text == NOT_APPLICABLE:
            continue
        for variant in [""] if row is None else row.variants_under(cell.policy):
            words = re.sub(r"\W+", "-", f"{cell.event}-{variant}").strip("-")
            yield pytest.param(cell, variant, id=f"{words}-{cell.policy.value}")


@pytest.fixture(scope="module")
def hosts() -> Iterator[Lab]:
    with lab() as hosts:
        yield hosts


@pytest.fixture(scope="module")
def witness(hosts: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    prefix = ("ip", "netns", "exec", hosts.namespace("w"))
    with Etcd(tmp_path_factory.mktemp("etcd"), host="0.0.0.0", prefix=prefix) as server:
        yield server


@pytest.fixture
def stage(
    hosts: Lab, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[[Policy, str], Scene]]:
    """Makes the scene of a test; its pair ends with it, and so do all faults."""
    pair = LabPair(tmp_path, hosts, {}, port=next(_PORTS))

    def make(policy: Policy, variant: str) -> Scene:
        server = request.getfixturevalue("witness") if policy is Policy.QUORUM else None
        return Scene(pair, policy, variant, server)

    try:
        yield make
    finally:
        pair.end()
        hosts.repair()


def test_the_page_says_what_the_plays_were_written_for() -> None:
    """R1, B3: a row or a word that is changed on the page is looked at here, too."""
    page = {(cell.event, cell.policy): cell.text for cell in read_cells()}
    played = {
        (row.event, policy): says for row in _ROWS.values() for policy, says in row.says.items()
    }
    assert page == played
    assert len(page) == 3 * len(_ROWS)


@pytest.mark.parametrize(("cell", "variant"), list(_cases()))
def test_a_cell(cell: Cell, variant: str, stage: Callable[[Policy, str], Scene]) -> None:
    """R1, B3: what happens is what the page says."""
    assert cell.event in _ROWS, f"no play for this row of the page: {cell.event}"
    scene = stage(cell.policy, variant)
    _ROWS[cell.event].play(scene)
    scene.keeps_promise()
    logs = "".join(node.log_text for node in scene.pair.nodes)
    for alarm in cell.alarms:
        assert f"alarm {alarm}: " in logs
