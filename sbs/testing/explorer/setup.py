"""What is explored: the pair and its policy, its modes, and how far silence counts."""

from __future__ import annotations

import attrs

from sbs.core.claim import Mode, Policy
from sbs.core.role import Settings


@attrs.frozen(kw_only=True)
class Setup:
    """What is explored.

    Args:
        policy: of both nodes.
        modes: of the nodes; the first is ``a``.
        fence: they have a fence hook.
        start_alone: see :class:`~sbs.core.role.Settings`.
        never_two: two primaries are reported even where the policy allows them.
    """

    policy: Policy = Policy.AVAILABILITY
    modes: tuple[Mode, Mode] = (Mode.SYMMETRIC, Mode.SYMMETRIC)
    fence: bool = False
    start_alone: bool = True
    never_two: bool = False

    @property
    def clash(self) -> bool:
        """Whether the modes make no pair: then only one of the nodes may run (R6)."""
        first, second = self.modes
        return first is second and first is not Mode.SYMMETRIC

    def settings(self, side: int) -> Settings:
        """Of one node: short times, with which a vote outlasts the down interval.

        All are multiples of a few, or two nodes could stand to each other in too many ways.
        """
        return Settings(
            node_id=f"{side:032x}",
            name="ab"[side],
            mode=self.modes[side],
            enabled=("app",),
            heartbeat_interval_s=1.0,
            down_interval_s=2.0,
            probe_timeout_s=2.0,
            failback_delay_s=1.0,
            policy=self.policy,
            witness="w" if self.policy is Policy.QUORUM else "",
            lease_s=3.0,
            stop_bound_s=1.0,
            max_clock_drift=0.0,
            fence=self.fence,
            start_alone=self.start_alone,
            retry_s=0.5,
        )
