"""Policy ``quorum`` on three hosts: never two nodes that serve, whoever is cut off (B3)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support import Etcd
from tests.system.labpair import LabPair
from tests.system.netns import Lab, lab
from tests.system.scene import QUICK, token
from tests.system.watcher import watching

PARTITIONS = int(os.environ.get("SBS_PARTITIONS", "10"))

LEASE = {"lease_s": 1.0}


class Witness(Protocol):
    """A witness from which a host can be cut off."""

    def settings(self, host: str) -> dict[str, Any]:
        """The section of the configuration."""
        ...

    def cut(self, host: str) -> None:
        """Part a host from the witness."""
        ...

    def heal(self, host: str) -> None:
        """Undo :meth:`cut`."""
        ...


class EtcdCables:
    """etcd on the third host; a node is cut off from it by the network."""

    def __init__(self, lab: Lab, server: Etcd) -> None:
        self._lab = lab
        self._server = server

    def settings(self, host: str) -> dict[str, Any]:
        """The section of the configuration."""
        port = self._server.endpoint.rpartition(":")[2]
        endpoint = f"http://{self._lab.address('w', host)}:{port}"
        return {"adapter": "etcd", "endpoints": [endpoint], "pair": "lab"}

    def cut(self, host: str) -> None:
        """Part a host from the witness."""
        self._lab.cut(host, "w")

    def heal(self, host: str) -> None:
        """Undo :meth:`cut`."""
        self._lab.heal(host, "w")


class SharedFolder:
    """A folder that each node reaches by a name of its own, which can be taken away."""

    def __init__(self, directory: Path) -> None:
        self._share = directory / "share"
        self._share.mkdir()
        self._mounts = {host: directory / f"mount-{host}" for host in "ab"}
        for host in "ab":
            self.heal(host)

    def settings(self, host: str) -> dict[str, Any]:
        """The section of the configuration."""
        return {"adapter": "folder", "path": str(self._mounts[host]), "pair": "lab"}

    def cut(self, host: str) -> None:
        """The share is not mounted any more."""
        self._mounts[host].unlink()

    def heal(self, host: str) -> None:
        """Undo :meth:`cut`."""
        self._mounts[host].symlink_to(self._share)


@contextmanager
def quorum_pair(directory: Path, kind: str) -> Iterator[tuple[LabPair, Witness]]:
    """A pair on three hosts that has settled, and its witness."""
    with lab() as hosts:
        pair = LabPair(directory, hosts, QUICK)
        try:
            if kind == "folder":
                yield _with(pair, SharedFolder(directory))
            else:
                prefix = ("ip", "netns", "exec", hosts.namespace("w"))
                with Etcd(directory, host="0.0.0.0", prefix=prefix) as server:
                    yield _with(pair, EtcdCables(hosts, server))
        finally:
            pair.end()


def _with(pair: LabPair, witness: Witness) -> tuple[LabPair, Witness]:
    for node in pair.nodes:
        node.configure({"witness": {**LEASE, **witness.settings(pair.host(node))}})
    pair.start()
    return pair, witness


@pytest.mark.parametrize("kind", ["etcd", "folder"])
def test_a_primary_that_is_cut_off_stops_before_the_other_serves(tmp_path: Path, kind: str) -> None:
    """B3, must show 2: takeover each time, and no moment with two nodes that serve.

    A third process watches the stamps of both services, a thousand a second, all the time.
    """
    with quorum_pair(tmp_path, kind) as (pair, witness), watching(pair) as report:
        primary, secondary = sorted(pair.nodes, key=lambda node: node.role)
        epochs = [token(primary)]
        for _ in range(PARTITIONS):
            pair.lab.cut("a", "b")
            witness.cut(pair.host(primary))
            secondary.wait_role("primary")
            primary, secondary = secondary, primary
            epochs.append(token(primary))
            pair.lab.heal("a", "b")
            witness.heal(pair.host(secondary))
            pair.wait_settled(primary, secondary)
    assert report["overlaps"] == []
    assert report["epochs"] == sorted(set(epochs)) == epochs
    assert len(epochs) == PARTITIONS + 1
    assert all(count > 100 * PARTITIONS for count in report["stamps"])


def test_a_partition_between_the_nodes_alone_moves_nothing(tmp_path: Path) -> None:
    """B3: the witness's vote is with the primary."""
    with quorum_pair(tmp_path, "folder") as (pair, _), watching(pair) as report:
        primary, secondary = sorted(pair.nodes, key=lambda node: node.role)
        epoch = token(primary)
        for _ in range(3):
            pair.lab.cut("a", "b")
            assert "the witness's vote is with" in secondary.wait_alarm("no-vote")
            primary.stay("primary", 2.0)
            pair.lab.heal("a", "b")
            pair.wait_settled(primary, secondary)
    assert report["epochs"] == [epoch]
    assert report["overlaps"] == []
