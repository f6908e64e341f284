"""What a node says of itself when two nodes decide who is primary."""

from __future__ import annotations

import enum

import attrs
from attrs.validators import ge, instance_of, le, matches_re, max_len

from sbs.core.epoch import Epoch
from sbs.core.history import History

NODE_ID = r"[0-9a-f]{32}"
"""What an identity looks like."""

MAX_PRIORITY = 1000
"""Priorities run from 0 to this; only their order counts."""


MAX_WITNESS_CHARACTERS = 200
"""Longest name of a witness and of the pair there."""

MAX_NAME_CHARACTERS = 64
"""Longest node name: it stands in every line of a status."""


class Mode(enum.Enum):
    """Which roles a node is meant for (R3 to R6)."""

    SYMMETRIC = "symmetric"
    PRIMARY_ONLY = "primary-only"
    BACKUP_ONLY = "backup-only"

    @property
    def rank(self) -> int:
        """Greater is meant more to be primary."""
        return {"primary-only": 2, "symmetric": 1, "backup-only": 0}[self.value]


class Role(enum.Enum):
    """What a node is to the outside: the words of ``sbs status``."""

    STOPPED = "stopped"
    PROBING = "probing"
    PRIMARY = "primary"
    SECONDARY = "secondary"
    WAITING = "waiting"
    FENCED = "fenced"


class Policy(enum.Enum):
    """What silence of the other node means (B3, ``docs/roles.md``)."""

    AVAILABILITY = "availability"
    """The primary stays, the secondary takes over: a partition makes two."""
    PROTECT = "protect"
    """The primary stays, the secondary waits for proof or for a person: never two."""
    QUORUM = "quorum"
    """Two of three, the witness being the third: never two, and any one may fail."""


MAX_PAUSES = 2**62
"""Largest count of pauses and resumes: it stays a signed 64-bit integer on the wire."""


@attrs.frozen(order=True)
class Pause:
    """Whether automatic takeovers are suspended, on both nodes (B6); the greater is the newer.

    Args:
        serial: counts the operator's pauses and resumes, 0 to :data:`MAX_PAUSES`.
        on: suspended. Of two that were asked for at once, on different nodes, the pause counts.
    """

    serial: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(MAX_PAUSES)])
    on: bool = attrs.field(default=False, validator=instance_of(bool))


def _check_name(_instance: object, _attribute: attrs.Attribute[str], value: str) -> None:
    fits = len(value) <= MAX_NAME_CHARACTERS and value[:1].isalnum()
    if not fits or not value.isprintable():
        raise ValueError(
            f"node name {value!r}: 1 to {MAX_NAME_CHARACTERS} printable characters are allowed, "
            "the first a letter or a digit"
        )


def _check_witness(_instance: object, _attribute: attrs.Attribute[str], value: str) -> None:
    if not value.isprintable():
        raise ValueError(f"'witness' {value!r} holds a character that cannot be printed")


@attrs.frozen(kw_only=True)
class Claim:
    """One node's side of the question who is primary.

    Args:
        node_id: 32 hexadecimal digits, made once for a node and never shared.
        name: for people, 1 to 64 printable characters, the first a letter or a digit.
        mode: which roles the node is meant for.
        priority: 0 to :data:`MAX_PRIORITY`, greater wins.
        slot: 0 or 1, see :class:`~sbs.core.epoch.Epoch`.
        role: at this moment.
        epoch: the newest the node has heard of.
        history: the generations it holds.
        held: it has a primacy that it did not give back: where both hold the same generations,
            its data is the newer.
        on_silence: its present primacy began because the other node was silent.
        services_die: its services cannot outlive its SBS (B31).
        policy: what silence means to it; both nodes must have the same.
        witness: whom it asks for the third vote, and under which name of the pair; empty for none.
            Two nodes that ask for different votes could both get theirs.
        pause: the newest pause or resume that it has heard of.
    """

    node_id: str = attrs.field(validator=[instance_of(str), matches_re(NODE_ID)])
    name: str = attrs.field(validator=[instance_of(str), _check_name])
    mode: Mode = attrs.field(validator=instance_of(Mode))
    priority: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_PRIORITY)])
    slot: int = attrs.field(validator=[instance_of(int), ge(0), le(1)])
    role: Role = attrs.field(validator=instance_of(Role))
    epoch: Epoch = attrs.field(validator=instance_of(Epoch))
    history: History = attrs.field(validator=instance_of(History))
    held: bool = attrs.field(default=False, validator=instance_of(bool))
    on_silence: bool = attrs.field(default=False, validator=instance_of(bool))
    services_die: bool = attrs.field(default=False, validator=instance_of(bool))
    policy: Policy = attrs.field(default=Policy.AVAILABILITY, validator=instance_of(Policy))
    witness: str = attrs.field(
        default="",
        validator=[instance_of(str), max_len(MAX_WITNESS_CHARACTERS), _check_witness],
    )
    pause: Pause = attrs.field(factory=Pause, validator=instance_of(Pause))

    @property
    def primary(self) -> bool:
        """Whether the node holds a primacy now."""
        return self.role is Role.PRIMARY
