"""What happens to a pair on three hosts, and what is expected of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, assert_never

from sbs.core.claim import Policy
from sbs.core.effects import Via
from tests.support import POLL_S, Etcd
from tests.system.labpair import LabPair
from tests.system.nodes import Node, Tables

DOWN_S: Final = 1.0
LEASE_S: Final = 1.0
STOP_BOUND_S: Final = 0.5

HOLD_S: Final = LEASE_S + STOP_BOUND_S + 0.25
"""What the page calls *hold*, less what it adds for clocks that differ."""

NEVER_S: Final = 60.0
"""An interval much longer than any test waits: what happens all the same, happens at once."""

QUICK: Final[Tables] = {
    "failover": {
        "heartbeat_interval_s": 0.2,
        "down_interval_s": DOWN_S,
        "probe_timeout_s": DOWN_S,
        "stop_bound_s": STOP_BOUND_S,
    },
}


class Scene:
    """A pair under one policy.

    Args:
        pair: not started.
        policy: of both nodes.
        variant: which of several events of one kind.
        witness: on the third host; ``None``: the pair has none.
    """

    def __init__(
        self, pair: LabPair, policy: Policy, variant: str, witness: Etcd | None = None
    ) -> None:
        self.pair = pair
        self.lab = pair.lab
        self.policy = policy
        self.variant = variant
        self.primary = pair.alpha
        self.secondary = pair.beta
        self.epoch = 0
        """``SBS_EPOCH`` of the primary's services."""
        pair.configure(QUICK)
        pair.configure({"failover": {"partition_policy": policy.value}})
        if witness is not None:
            self._vote_by(witness)

    def _vote_by(self, witness: Etcd) -> None:
        port = witness.endpoint.rpartition(":")[2]
        for node in self.pair.nodes:
            endpoint = f"http://{self.lab.address('w', self.pair.host(node))}:{port}"
            keys = {"adapter": "etcd", "endpoints": [endpoint], "pair": f"at-{self.pair.port}"}
            node.configure({"witness": {**keys, "lease_s": LEASE_S}})

    @property
    def quorum(self) -> bool:
        """Whether votes decide."""
        return self.policy is Policy.QUORUM

    # Before the event.

    def never_on_silence(self) -> None:
        """Configure intervals so long that nothing is decided by their end."""
        self.pair.configure({"failover": {"down_interval_s": NEVER_S, "probe_timeout_s": NEVER_S}})
        if self.quorum:
            self.pair.configure({"witness": {"lease_s": NEVER_S / 2}})

    def start(self) -> None:
        """Both nodes run, have settled, and the one with the role has every vote there is."""
        for node in self.pair.nodes:
            node.start()
        self.settle()

    def settle(self) -> None:
        """Wait until one node is primary and serves, and the other follows it and holds its data.

        However they came to it: which is which is noted.
        """
        self.pair.wait(
            lambda: {node.role for node in self.pair.nodes} == {"primary", "secondary"},
            "one primary and one secondary",
        )
        self.primary, self.secondary = sorted(self.pair.nodes, key=lambda node: node.role)
        self.follows()
        if self.quorum:
            self.has_votes(peer=True)

    # The event.

    def part(self) -> None:
        """Part the nodes; each still reaches the witness."""
        self.lab.cut("a", "b")

    def lose_witness(self) -> None:
        """Part both nodes from the witness."""
        for host in ("a", "b"):
            self.lab.cut(host, "w")

    def freeze(self, node: Node) -> None:
        """Stop SBS, and SBS alone."""
        node.signal(signal.SIGSTOP)

    def thaw(self, node: Node) -> None:
        """Let it go on."""
        node.signal(signal.SIGCONT)

    # What is expected.

    def has_votes(self, **votes: bool) -> None:
        """Wait until the primary has these votes, or has them no more."""
        self.pair.wait(
            lambda: votes.items() <= (self.primary.status().get("votes") or {}).items(),
            f"{self.primary.name} has votes: {votes}",
        )

    def taken_over(self, via: Via) -> None:
        """The secondary leads, on this evidence, and serves under a newer epoch."""
        self.secondary.wait_role("primary")
        assert f": {via.value}" in self.secondary.log_text, self.secondary.log_tail()
        self.primary, self.secondary = self.secondary, self.primary
        self.serves_anew()

    def waited(self, since: float, at_least_s: float) -> None:
        """The primary has not served before so much time had passed (by the monotonic clock)."""
        runs = [run for run in self.pair.runs() if run.epoch == self.epoch]
        assert runs[0].first_ns / 1e9 - since >= at_least_s

    def serves_anew(self) -> None:
        """The primary serves under an epoch newer than any before."""
        epoch = token(self.primary)
        self.pair.wait(
            lambda: epoch in {run.epoch for run in self.pair.runs()}, f"{self.primary.name} serves"
        )
        assert epoch > self.epoch
        self.epoch = epoch

    def stays_out(self, alarm: str) -> None:
        """The secondary raises an alarm, and does not lead, however long one looks."""
        self.secondary.wait_alarm(alarm)
        self.lasts(lambda: self.secondary.role == "waiting", f"{self.secondary.name} waits")
        assert not self.pair.serves(self.secondary)

    def stopped(self, node: Node) -> None:
        """A node's service has ended."""
        self.pair.wait(lambda: not self.pair.serves(node), f"{node.name} serves no more")

    @contextmanager
    def serving_on(self) -> Iterator[None]:
        """From before the block until after it the primary's service is one process."""
        pid = self.pair.service_pid(self.primary)
        assert pid is not None
        yield
        assert self.pair.service_pid(self.primary) == pid, self.primary.log_tail()

    @contextmanager
    def nothing_happening(self) -> Iterator[None]:
        """What is done in the block changes neither a role nor an epoch nor a process."""
        with self.serving_on():
            yield
            self.follows()
        assert token(self.primary) == self.epoch
        assert "role primary" not in self.secondary.log_text, self.secondary.log_tail()

    def lasts(self, holds: Callable[[], object], what: str) -> None:
        """Fail unless something stays so, for longer than anything here waits."""
        over_at = time.monotonic() + (HOLD_S if self.quorum else DOWN_S) + 0.5
        while time.monotonic() < over_at:
            tails = [node.log_tail() for node in self.pair.nodes]
            assert holds(), "\n".join([f"not so any more: {what}", *tails])
            time.sleep(10 * POLL_S)

    def both_serve(self) -> None:
        """Two primaries: what ``availability`` allows."""
        self.pair.wait(self.pair.overlaps, "both nodes serve")

    def follows(self) -> None:
        """Wait until the primary serves, alone, and the other node follows it."""
        self.pair.wait_settled(self.primary, self.secondary)
        self.epoch = token(self.primary)

    def keeps_promise(self) -> None:
        """No two nodes served at a time, unless the policy is ``availability``."""
        match self.policy:
            case Policy.AVAILABILITY:
                pass
            case Policy.PROTECT | Policy.QUORUM:
                assert self.pair.overlaps() == []
            case _:
                assert_never(self.policy)


def token(node: Node) -> int:
    """``SBS_EPOCH`` of the primacy that the node knows."""
    return int(node.status()["epoch_token"])
