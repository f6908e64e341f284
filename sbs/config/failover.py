"""The sections that decide when and how the secondary takes over, and who has the third vote."""

from __future__ import annotations

import attrs

from sbs.config.declare import checked, key
from sbs.config.endpoints import Endpoints
from sbs.config.kinds import Choice, Number, Path, Text
from sbs.config.limits import (
    MAX_CLOCK_DRIFT,
    MAX_HEARTBEAT_S,
    MAX_PERIOD_S,
    MAX_TIMEOUT_S,
    MIN_INTERVAL_S,
    MIN_LEASE_S,
)
from sbs.config.lists import Command, Installed
from sbs.config.places import MAX_PAIR_CHARS

NO_WITNESS = "none"
"""The adapter that is none."""

_NO_COMMAND: tuple[str, ...] = ()
_NO_TEXTS: tuple[str, ...] = ()


@attrs.frozen(kw_only=True, field_transformer=checked)
class FailoverSettings:
    """Section ``[failover]``: when and how the secondary takes over."""

    heartbeat_interval_s: float = attrs.field(
        default=0.5,
        metadata=key(Number(MIN_INTERVAL_S, MAX_HEARTBEAT_S), "Seconds between signs of life."),
    )
    down_interval_s: float = attrs.field(
        default=2.0,
        metadata=key(
            Number(MIN_INTERVAL_S, MAX_TIMEOUT_S),
            "Seconds of silence after which the peer counts as gone; at least 3 heartbeats.",
        ),
    )
    probe_timeout_s: float = attrs.field(
        default=2.0,
        metadata=key(
            Number(MIN_INTERVAL_S, MAX_TIMEOUT_S),
            "Seconds that a start waits for the peer's answer.",
        ),
    )
    partition_policy: str = attrs.field(
        default="",
        metadata=key(
            Choice(("availability", "protect", "quorum")),
            "What silence of the other node means (docs/roles.md): with `availability` the "
            "secondary takes over, with `protect` it waits for proof or for a person, with "
            "`quorum` the witness decides. The same on both nodes.",
            default='`"quorum"` with a witness, else `"availability"`',
        ),
    )
    start_alone: str = attrs.field(
        default="always",
        metadata=key(
            Choice(("always", "only-if-last-primary")),
            "Whether a node that finds no peer at its start becomes primary although the peer may "
            "have led since.",
        ),
    )
    stop_bound_s: float = attrs.field(
        default=5.0,
        metadata=key(Number(0, MAX_TIMEOUT_S), "Seconds a service has to stop; then it is killed."),
    )
    max_clock_drift: float = attrs.field(
        default=0.01,
        metadata=key(
            Number(0, MAX_CLOCK_DRIFT),
            "By how much the clock of a node may be wrong in speed, as a share: votes are counted "
            "with that much to spare.",
        ),
    )
    failback: str = attrs.field(
        default="auto",
        metadata=key(
            Choice(("auto", "manual")),
            "Whether a `primary-only` node that returns gets its role back unasked.",
        ),
    )
    failback_delay_s: float = attrs.field(
        default=10.0,
        metadata=key(Number(0, MAX_PERIOD_S), "Seconds it must have been in step before that."),
    )
    fence: tuple[str, ...] = attrs.field(
        default=_NO_COMMAND,
        metadata=key(
            Command(optional=True),
            "A command that has to succeed before a lost primary is replaced: it makes sure that "
            "the peer is off. `SBS_PEER` and `SBS_PEER_ADDRESS` are in its environment.",
            sensitive=True,
        ),
    )


@attrs.frozen(kw_only=True, field_transformer=checked)
class WitnessSettings:
    """Section ``[witness]``: the third vote (B3)."""

    adapter: str = attrs.field(
        default=NO_WITNESS,
        metadata=key(
            Installed(
                "sbs.witnesses", "the name of an installed witness adapter", frozenset({NO_WITNESS})
            ),
            "Who gives the third vote: `none`, `folder`, `etcd`, or another entry point of the "
            "group `sbs.witnesses`.",
        ),
    )
    path: str = attrs.field(
        default="",
        metadata=key(Path(optional=True), "With `folder`: a folder that both nodes share."),
    )
    endpoints: tuple[str, ...] = attrs.field(
        default=_NO_TEXTS,
        metadata=key(
            Endpoints(),
            "With `etcd`: the client addresses of its members, at least one.",
        ),
    )
    lease_s: float = attrs.field(
        default=5.0,
        metadata=key(
            Number(MIN_LEASE_S, MAX_TIMEOUT_S),
            "Seconds that a vote counts. A takeover on silence takes this long, plus "
            "`failover.stop_bound_s`, and a little for drift; a primary without any vote stops "
            "its services after it.",
        ),
    )
    pair: str = attrs.field(
        default="",
        metadata=key(
            Text(
                allowed=f"at most {MAX_PAIR_CHARS} letters, digits, dots, dashes and underscores",
                pattern=rf"[A-Za-z0-9._-]{{0,{MAX_PAIR_CHARS}}}",
            ),
            "What the pair is called at the witness, which may serve many; the same on both nodes. "
            "Required where `node.listen` is a wildcard address or has port 0; better set, too, "
            "where the nodes know each other by other addresses than they listen on.",
            default="made from `node.listen` and `node.peer`",
        ),
    )
