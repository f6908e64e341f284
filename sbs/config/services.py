"""The section of the application's services and of who starts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from sbs.config.declare import checked, key, section
from sbs.config.kinds import Flag, Text
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
        Text(expected="1 to 64 printable characters", pattern=".{1,64}"),
        "What both nodes call the service.",
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
            Installed("sbs.services", "service", frozenset({"process", "command"})),
            "Who starts the services: an entry point of the group `sbs.services`.",
        ),
    )
    unit: tuple[Unit, ...] = attrs.field(
        default=(),
        metadata=section(Unit, "One service; the names are unique.", many=True, keys=_UNIT_KEYS),
    )
