"""What the nodes of a pair must have in common; ``sbs probe`` compares it (R64, B60)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sbs.config import Config
from sbs.config.failover import NO_WITNESS
from sbs.core.messages import Fact

MUST_MATCH: Mapping[str, str] = {
    "failover.heartbeat_interval_s": "one node would find the other silent too early",
    "failover.down_interval_s": "the nodes would disagree on when the other is gone",
    "failover.partition_policy": "the nodes would act differently in a partition",
    "failover.stop_bound_s": "a voter would keep still for too short a time",
    "failover.max_clock_drift": "a voter would keep still for too short a time",
    "witness.adapter": "the nodes would ask different witnesses",
    "witness.pair": "the nodes would ask the witness for different votes",
    "witness.lease_s": "a vote would run out earlier on one node than on the other",
    "services.adapter": "the services would be started in different ways",
    "services.unit": "a takeover can only start services that both nodes know",
    "requirements.install_path": "replicated settings may name files by their path",
    "requirements.account": "replicated files may not be readable for the services",
    "requirements.capture_folder": "the services would take their input from different places",
}
"""Settings that both nodes should share, and what goes wrong otherwise."""

PEER: Final = "node.peer"
"""Whom a node calls: the other one has to serve that."""


def facts_of(config: Config) -> tuple[Fact, ...]:
    """The settings of :data:`MUST_MATCH` and :data:`PEER` as texts, for the hello."""
    units = ", ".join(sorted(unit.name for unit in config.services.unit))
    values = {
        "failover.heartbeat_interval_s": f"{config.failover.heartbeat_interval_s:g}",
        "failover.down_interval_s": f"{config.failover.down_interval_s:g}",
        "failover.partition_policy": config.policy.value,
        "failover.stop_bound_s": f"{config.failover.stop_bound_s:g}",
        "failover.max_clock_drift": f"{config.failover.max_clock_drift:g}",
        "witness.adapter": config.witness.adapter,
        "witness.pair": "" if config.witness.adapter == NO_WITNESS else config.witness_pair,
        "witness.lease_s": f"{config.witness.lease_s:g}",
        "services.adapter": config.services.adapter,
        "services.unit": units[:1000],
        "requirements.install_path": config.requirements.install_path[:1000],
        "requirements.account": config.requirements.account[:1000],
        "requirements.capture_folder": config.requirements.capture_folder[:1000],
        PEER: str(config.node.peer),
    }
    return tuple(Fact(name, value) for name, value in values.items())
