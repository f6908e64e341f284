"""Policy ``quorum`` on three hosts: never two nodes that serve, whoever is cut off (B3)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import Etcd, wait_until
from tests.system.labpair import LabPair
from tests.system.netns import Lab, lab
from tests.system.nodes import Node

PARTITIONS = int(os.environ.get("SBS_PARTITIONS", "10"))

LEASE = {"failover": {"stop_bound_s": 0.5}, "witness": {"lease_s": 1.0}}


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
def quorum_pair(directory: Path, kind: str) -> Iterator[tuple[LabPair, Any]]:
    with lab() as hosts:
        pair = LabPair(directory, hosts, LEASE)
        try:
            if kind == "folder":
                yield from _with(pair, SharedFolder(directory))
            else:
                prefix = ("ip", "netns", "exec", hosts.namespace("w"))
                with Etcd(directory, host="0.0.0.0", prefix=prefix) as server:
                    yield from _with(pair, EtcdCables(hosts, server))
        finally:
            pair.end()


def _with(pair: LabPair, witness: Any) -> Iterator[tuple[LabPair, Any]]:
    for node in pair.nodes:
        node.configure({"witness": {**LEASE["witness"], **witness.settings(pair.host(node))}})
        node.start()
    wait_until(lambda: {node.role for node in pair.nodes} == {"primary", "secondary"}, "a pair")
    yield pair, witness


def in_step(primary: Node, secondary: Node) -> bool:
    followed = (primary.role, secondary.role) == ("primary", "secondary")
    return followed and primary.status()["in_step"] and secondary.status()["in_step"]


@pytest.mark.parametrize("kind", ["etcd", "folder"])
def test_a_primary_that_is_cut_off_stops_before_the_other_serves(tmp_path: Path, kind: str) -> None:
    """B3, must show 2: watched by the millisecond."""
    with quorum_pair(tmp_path, kind) as (pair, witness):
        primary, secondary = sorted(pair.nodes, key=lambda node: node.role)
        for _ in range(PARTITIONS):
            wait_until(lambda: in_step(primary, secondary), "in step")  # noqa: B023 - used at once
            wait_until(lambda: primary.status()["services"]["active"], "it serves")  # noqa: B023
            pair.lab.cut("a", "b")
            witness.cut(pair.host(primary))
            secondary.wait_role("primary")
            primary, secondary = secondary, primary
            wait_until(lambda: primary.status()["services"]["active"], "it serves")  # noqa: B023
            assert secondary.status()["role"] != "primary"
            pair.lab.heal("a", "b")
            witness.heal(pair.host(secondary))
        wait_until(lambda: in_step(primary, secondary), "in step")
        stamps = pair.stamps()
        assert len({epoch for _, epoch, _ in stamps}) > PARTITIONS
        assert pair.overlaps() == []


def test_a_partition_between_the_nodes_alone_moves_nothing(tmp_path: Path) -> None:
    """B3: the witness's vote is with the primary."""
    with quorum_pair(tmp_path, "etcd") as (pair, _):
        primary, secondary = sorted(pair.nodes, key=lambda node: node.role)
        wait_until(lambda: in_step(primary, secondary), "in step")
        epoch = primary.status()["epoch"]
        pair.lab.cut("a", "b")
        assert "the witness's vote is with" in secondary.wait_alarm("no-vote")
        primary.stay("primary", 2.0)
        pair.lab.heal("a", "b")
        wait_until(lambda: in_step(primary, secondary), "in step again")
        assert primary.status()["epoch"] == epoch
        assert pair.overlaps() == []
