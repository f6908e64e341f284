"""What the role machine is told of a node's configuration."""

from __future__ import annotations

from sbs.config import Config
from sbs.core.role import Settings
from sbs.runtime.serving.services import Services


def role_settings(config: Config, node_id: str, services: Services) -> Settings:
    """The settings of a node's role machine.

    Args:
        config: of the node.
        node_id: its identity.
        services: of the node.
    """
    node, failover = config.node, config.failover
    return Settings(
        node_id=node_id,
        name=node.name,
        mode=node.mode,
        priority=node.priority,
        services_die=services.die_with_node,
        enabled=services.enabled,
        heartbeat_interval_s=failover.heartbeat_interval_s,
        down_interval_s=failover.down_interval_s,
        probe_timeout_s=failover.probe_timeout_s,
        failback=failover.failback == "auto",
        failback_delay_s=failover.failback_delay_s,
        policy=config.policy,
        witness=config.witness_name,
        lease_s=config.witness.lease_s,
        stop_bound_s=failover.stop_bound_s,
        max_clock_drift=failover.max_clock_drift,
        fence=bool(failover.fence),
        start_alone=failover.start_alone == "always",
    )
