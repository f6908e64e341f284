"""What must hold between several settings."""

from __future__ import annotations

import ipaddress
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from sbs.config.problems import KeyPath, Problem, about
from sbs.config.settings import Config
from sbs.config.text import dotted, quoted, shown
from sbs.core.address import Address

HEARTBEATS_PER_DOWN_INTERVAL = 3
"""Heartbeats in a down interval, at least: two may be late before the peer counts as gone."""

_ROUNDING = 1e-9
"""Relative error of a product of two decimal fractions, with room to spare."""


def check(config: Config) -> Iterator[Problem]:
    """What is wrong although each value by itself is allowed."""
    for rule in _RULES:
        yield from rule(config)


def warnings(config: Config) -> tuple[str, ...]:
    """The settings that ask for something this version does not do."""
    found: list[str] = []
    if config.sync.max_deletes != "off":
        found.append(
            f"sync.max_deletes = {shown(config.sync.max_deletes)} has no effect in this version: "
            "no update is held for its deletes"
        )
    if config.sync.keep_versions_s:
        found.append(
            f"sync.keep_versions_s = {shown(config.sync.keep_versions_s)} has no effect in this "
            "version: overwritten and deleted files are not kept"
        )
    if config.failover.max_clock_drift != type(config.failover)().max_clock_drift:
        found.append(
            f"failover.max_clock_drift = {shown(config.failover.max_clock_drift)} has no effect "
            "in this version: it matters only with a witness's lease"
        )
    return tuple(found)


def _peer_is_another(config: Config) -> Iterator[Problem]:
    if _same_place(config.node.peer, config.node.listen):
        yield Problem(
            about(
                ("node", "peer"),
                config.node.peer,
                f"is this node itself, node.listen = {shown(config.node.listen)}; "
                "allowed is the address of the other node",
            ),
            (("node", "peer"), ("node", "listen")),
        )


def _same_place(one: Address, other: Address) -> bool:
    return one.port == other.port and _host(one) == _host(other)


def _host(address: Address) -> str:
    host = address.host.lower()
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return "127.0.0.1" if host == "localhost" else host


def _loopback_without_tls(config: Config) -> Iterator[Problem]:
    """B62: a node never listens beyond loopback without TLS unless told so."""
    if not config.tls.insecure and not _is_loopback(config.node.listen.host):
        yield Problem(
            about(
                ("node", "listen"),
                config.node.listen,
                "this version has no TLS, so allowed are only loopback addresses (127.0.0.0/8, "
                "::1, localhost), unless tls.insecure = true says that everyone who reaches the "
                "port may pose as the peer",
            ),
            (("node", "listen"), ("tls", "insecure")),
        )


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return address.is_loopback


def _down_interval_holds_heartbeats(config: Config) -> Iterator[Problem]:
    heartbeat_s = config.failover.heartbeat_interval_s
    down_s = config.failover.down_interval_s
    least_s = HEARTBEATS_PER_DOWN_INTERVAL * heartbeat_s
    if down_s < least_s * (1 - _ROUNDING):
        yield Problem(
            about(
                ("failover", "down_interval_s"),
                down_s,
                f"allowed is at least {HEARTBEATS_PER_DOWN_INTERVAL} * heartbeat_interval_s, "
                f"and {down_s:g} < {HEARTBEATS_PER_DOWN_INTERVAL} * {heartbeat_s:g} = {least_s:g}",
            ),
            (("failover", "down_interval_s"), ("failover", "heartbeat_interval_s")),
        )


def _names_are_unique(config: Config) -> Iterator[Problem]:
    yield from _unique(("folders",), [folder.name for folder in config.folders])
    yield from _unique(("services", "unit"), [unit.name for unit in config.services.unit])


def _unique(section: KeyPath, names: Sequence[str]) -> Iterator[Problem]:
    first: dict[str, KeyPath] = {}
    for number, name in enumerate(names):
        key = (*section, number, "name")
        if name in first:
            text = f"is also {dotted(first[name])}; allowed are names that differ"
            yield Problem(about(key, name, text), (key, first[name]))
        else:
            first[name] = key


def _directories_are_apart(config: Config) -> Iterator[Problem]:
    """No folder in another, none in the state directory, nor that in a folder."""
    places: list[tuple[KeyPath, str]] = [(("node", "state_dir"), config.node.state_dir)]
    places += [(("folders", n, "path"), folder.path) for n, folder in enumerate(config.folders)]
    resolved = [(key, path, os.path.realpath(path)) for key, path in places]
    for (key_a, path_a, real_a), (key_b, path_b, real_b) in itertools.combinations(resolved, 2):
        if real_a == real_b:
            relation = "is"
        elif _inside(real_b, real_a):
            relation = "lies in"
        elif _inside(real_a, real_b):
            relation = "holds"
        else:
            continue
        text = (
            f"{relation} {dotted(key_a)} = {quoted(path_a)}; allowed are folders and a state "
            "directory that lie apart"
        )
        yield Problem(about(key_b, path_b, text), (key_b, key_a))


def _inside(path: str, directory: str) -> bool:
    return path.startswith(os.path.join(directory, ""))


def _processes_have_commands(config: Config) -> Iterator[Problem]:
    if config.services.adapter != "process":
        return
    for number, unit in enumerate(config.services.unit):
        if not unit.command:
            key: KeyPath = ("services", "unit", number, "command")
            text = (
                f'{dotted(key)} is not set: the adapter "process" requires an array of strings, '
                "program first"
            )
            yield Problem(text, (key, ("services", "adapter")))


_RULES: tuple[Callable[[Config], Iterable[Problem]], ...] = (
    _peer_is_another,
    _loopback_without_tls,
    _down_interval_holds_heartbeats,
    _names_are_unique,
    _directories_are_apart,
    _processes_have_commands,
)
