"""The section of the application's services and of who starts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from sbs.config.declare import checked, key, section
from sbs.config.kinds import Choice, Flag, Integer, Number, Text
from sbs.config.limits import MAX_PERIOD_S, MAX_RESTARTS, MAX_TIMEOUT_S, MIN_INTERVAL_S
from sbs.config.lists import Command, Installed
from sbs.ports import Unit

BUILT_IN: Final[Mapping[str, frozenset[str]]] = {
    "process": frozenset({"command"}),
    "command": frozenset({"start", "stop", "status"}),
    "systemd": frozenset(),
    "windows": frozenset(),
}
"""The commands of a unit that each adapter of SBS requires; the others mean nothing to it."""

UNIT_COMMANDS: Final = ("command", "start", "stop", "status")

_UNIT_KEYS = {
    "name": key(
        Text(allowed="1 to 64 printable characters", pattern=".{1,64}"),
        "What both nodes call the service; for the adapter `systemd` a unit, or a pattern.",
    ),
    "command": key(
        Command(optional=True),
        "Program and arguments; required by the adapter `process`.",
        sensitive=True,
    ),
    "start": key(
        Command(optional=True),
        "With the adapter `command`, required: starts the service, and returns.",
        sensitive=True,
    ),
    "stop": key(
        Command(optional=True),
        "Likewise: stops it, by force after `SBS_GRACE_S` seconds.",
        sensitive=True,
    ),
    "status": key(
        Command(optional=True),
        "Likewise: exit code 0 says that it runs.",
        sensitive=True,
    ),
    "enabled": key(Flag(), "Started when this node becomes primary without a takeover."),
}
"""A :class:`~sbs.ports.Unit` serves adapters too, so its declaration stands here."""


@attrs.frozen(kw_only=True, field_transformer=checked)
class ServiceSettings:
    """Section ``[services]``: the application's services and who starts them."""

    adapter: str = attrs.field(
        default="process",
        metadata=key(
            Installed(
                "sbs.services",
                "the name of an installed service adapter",
                frozenset({"process", "command", "systemd"}),
            ),
            "Who starts the services: an entry point of the group `sbs.services`.",
        ),
    )
    restart_limit: int = attrs.field(
        default=5,
        metadata=key(
            Integer(0, MAX_RESTARTS),
            "How often a service that ended by itself, or could not be started, is started again "
            "within `restart_period_s`; 0: never, for services whose manager does it (B32).",
        ),
    )
    restart_period_s: float = attrs.field(
        default=600.0,
        metadata=key(Number(MIN_INTERVAL_S, MAX_PERIOD_S), "Seconds that an end is remembered."),
    )
    restart_delay_s: float = attrs.field(
        default=1.0,
        metadata=key(
            Number(0, MAX_TIMEOUT_S),
            "Seconds before the first restart; doubled with each end that is remembered, up to a "
            "minute.",
        ),
    )
    on_failure: str = attrs.field(
        default="alarm",
        metadata=key(
            Choice(("alarm", "handover")),
            "What comes when the limit is passed: an alarm alone, or the role goes to the other "
            "node, too, if that is in step.",
        ),
    )
    handover_pause_s: float = attrs.field(
        default=3600.0,
        metadata=key(
            Number(0, MAX_PERIOD_S),
            "With `handover`: seconds after one of them, on either node, before the next.",
        ),
    )
    unit: tuple[Unit, ...] = attrs.field(
        default=(),
        metadata=section(Unit, "One service; the names are unique.", many=True, keys=_UNIT_KEYS),
    )
