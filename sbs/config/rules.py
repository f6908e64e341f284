"""What must hold between several settings."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from gettext import gettext as _

from sbs.config.failover import NO_WITNESS, WitnessSettings
from sbs.config.licence import NO_LICENCE
from sbs.config.mail_rules import check_mail, warn_mail
from sbs.config.places import is_definite, same_place
from sbs.config.problems import KeyPath, Problem, about
from sbs.config.services import BUILT_IN, UNIT_COMMANDS
from sbs.config.settings import Config
from sbs.config.text import dotted, quoted, shown
from sbs.config.tls_rules import check_tls, warn_tls
from sbs.config.web_rules import check_web, warn_web
from sbs.core.claim import Mode, Policy
from sbs.core.lease import hold_s

HEARTBEATS_PER_DOWN_INTERVAL = 3
"""Heartbeats in a down interval, at least: two may be late before the peer counts as gone."""

_ROUNDING = 1e-9
"""Relative error of a product of two decimal fractions, with room to spare."""


def check(config: Config) -> Iterator[Problem]:
    """What is wrong although each value by itself is allowed."""
    for rule in _RULES:
        yield from rule(config)


def warnings(config: Config) -> tuple[str, ...]:
    """Settings that have no effect, and those that an administrator should know to be unwise."""
    return (*_vote_warnings(config), *warn_mail(config), *warn_tls(config), *warn_web(config))


def _vote_warnings(config: Config) -> Iterator[str]:
    """Settings of votes where nobody votes, and an interval that delays a takeover by them."""
    hold, down_s = _hold_s(config), config.failover.down_interval_s
    if config.policy is Policy.QUORUM and down_s > hold:
        text = _(
            "failover.down_interval_s = {value} is longer than a vote holds ({hold_s:.3g} s): "
            "a takeover takes that much longer"
        )
        yield text.format(value=shown(down_s), hold_s=hold)
    if config.witness.adapter == NO_WITNESS:
        witness, default = config.witness, WitnessSettings()
        for name, value, neutral in (
            ("lease_s", witness.lease_s, default.lease_s),
            ("pair", witness.pair, default.pair),
        ):
            if value != neutral:
                text = _('witness.{name} = {value} has no effect: witness.adapter is "none"')
                yield text.format(name=name, value=shown(value))


def _peer_is_another(config: Config) -> Iterator[Problem]:
    if same_place(config.node.peer, config.node.listen):
        yield Problem(
            about(
                ("node", "peer"),
                config.node.peer,
                _(
                    "is this node itself, node.listen = {listen}; "
                    "allowed is the address of the other node"
                ).format(listen=shown(config.node.listen)),
            ),
            (("node", "peer"), ("node", "listen")),
        )


def _down_interval_holds_heartbeats(config: Config) -> Iterator[Problem]:
    heartbeat_s = config.failover.heartbeat_interval_s
    down_s = config.failover.down_interval_s
    least_s = HEARTBEATS_PER_DOWN_INTERVAL * heartbeat_s
    if down_s < least_s * (1 - _ROUNDING):
        yield Problem(
            about(
                ("failover", "down_interval_s"),
                down_s,
                _(
                    "allowed is at least {count} * heartbeat_interval_s, "
                    "and {down_s:g} < {count} * {beat_s:g} = {least_s:g}"
                ).format(
                    count=HEARTBEATS_PER_DOWN_INTERVAL,
                    down_s=down_s,
                    beat_s=heartbeat_s,
                    least_s=least_s,
                ),
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
            text = _("is also {key}; allowed are names that differ").format(key=dotted(first[name]))
            yield Problem(about(key, name, text), (key, first[name]))
        else:
            first[name] = key


def _directories_are_apart(config: Config) -> Iterator[Problem]:
    """No folder in another; state directory and witness's folder apart from all."""
    places: list[tuple[KeyPath, str]] = [(("node", "state_dir"), config.node.state_dir)]
    if config.witness.path:
        places.append((("witness", "path"), config.witness.path))
    places += [(("folders", n, "path"), folder.path) for n, folder in enumerate(config.folders)]
    resolved = [(key, path, os.path.realpath(path)) for key, path in places]
    for (key_a, path_a, real_a), (key_b, path_b, real_b) in itertools.combinations(resolved, 2):
        if real_a == real_b:
            text = _("is {other}; allowed are folders and a state directory that lie apart")
        elif _inside(real_b, real_a):
            text = _("lies in {other}; allowed are folders and a state directory that lie apart")
        elif _inside(real_a, real_b):
            text = _("holds {other}; allowed are folders and a state directory that lie apart")
        else:
            continue
        text = text.format(other=f"{dotted(key_a)} = {shown(path_a)}")
        yield Problem(about(key_b, path_b, text), (key_b, key_a))


def _meaningless(name: str, value: str) -> str:
    """The text for a key that nobody looks at while another one has a value."""
    text = _("has no meaning with {name} = {value}; leave it out")
    return text.format(name=name, value=quoted(value))


def _required(key: KeyPath, name: str, value: str) -> str:
    """The text for a key that another one's value requires."""
    text = _("{key} is not set: {name} = {value} requires it")
    return text.format(key=dotted(key), name=name, value=quoted(value))


def _inside(path: str, directory: str) -> bool:
    return path.startswith(os.path.join(directory, ""))


def _units_have_commands(config: Config) -> Iterator[Problem]:
    """B30: those that the adapter needs, and none that it would not look at."""
    adapter = config.services.adapter
    if adapter not in BUILT_IN:
        return  # the adapter of another package knows best
    needed = BUILT_IN[adapter]
    for number, unit in enumerate(config.services.unit):
        for name in UNIT_COMMANDS:
            key: KeyPath = ("services", "unit", number, name)
            keys = (key, ("services", "adapter"))
            value = getattr(unit, name)
            if name in needed and not value:
                text = _(
                    "{key} is not set: the adapter {adapter} requires an array of strings, program "
                    "first"
                )
                yield Problem(text.format(key=dotted(key), adapter=quoted(adapter)), keys)
            elif value and name not in needed:
                yield Problem(about(key, value, _meaningless("services.adapter", adapter)), keys)


def _handover_lasts(config: Config) -> Iterator[Problem]:
    """B32: a role that was given away for a failed service does not come back by itself."""
    if config.services.on_failure != "handover" or config.node.mode is Mode.SYMMETRIC:
        return
    if config.failover.failback == "auto":
        key: KeyPath = ("services", "on_failure")
        text = _(
            'needs failover.failback = "manual" where node.mode = {mode}: the role would come back '
            "after failover.failback_delay_s"
        ).format(mode=quoted(config.node.mode.value))
        keys: tuple[KeyPath, ...] = (key, ("failover", "failback"), ("node", "mode"))
        yield Problem(about(key, config.services.on_failure, text), keys)


def _policy_and_witness_fit(config: Config) -> Iterator[Problem]:
    """B3: votes need a third voter, and a witness that nobody asks is a mistake."""
    policy, witness = ("failover", "partition_policy"), ("witness", "adapter")
    if config.policy is Policy.QUORUM and config.witness.adapter == NO_WITNESS:
        text = _('needs a witness, but witness.adapter = "none"; set one, as "folder" or "etcd"')
        yield Problem(about(policy, config.policy.value, text), (policy, witness))
    elif config.policy is not Policy.QUORUM and config.witness.adapter != NO_WITNESS:
        text = _(
            'would not ask witness.adapter = {adapter}; allowed with a witness is "quorum"'
        ).format(adapter=quoted(config.witness.adapter))
        yield Problem(about(policy, config.policy.value, text), (policy, witness))


def _witness_is_complete(config: Config) -> Iterator[Problem]:
    """What the built-in witness adapters need, and what they would not look at."""
    witness = config.witness
    adapter: KeyPath = ("witness", "adapter")
    for name, wanted in (("path", "folder"), ("endpoints", "etcd")):
        key: KeyPath = ("witness", name)
        value = getattr(witness, name)
        if witness.adapter == wanted and not value:
            text = _required(key, "witness.adapter", wanted)
            yield Problem(text, (key, adapter))
        elif value and witness.adapter in {NO_WITNESS, "folder", "etcd"} - {wanted}:
            text = _meaningless("witness.adapter", witness.adapter)
            yield Problem(about(key, value, text), (key, adapter))


def _licence_is_complete(config: Config) -> Iterator[Problem]:
    """What the adapter ``file`` needs, and what without a licence nobody would look at."""
    licence = config.licence
    adapter: KeyPath = ("licence", "adapter")
    for name, value in (("path", licence.path), ("trusted_keys", licence.trusted_keys)):
        key: KeyPath = ("licence", name)
        if licence.adapter == "file" and not value:
            text = _required(key, "licence.adapter", "file")
            yield Problem(text, (key, adapter))
        elif licence.adapter == NO_LICENCE and value:
            text = _('has no meaning with licence.adapter = "none"; leave it out, or set "file"')
            yield Problem(about(key, value, text), (key, adapter))


def _pair_has_a_name(config: Config) -> Iterator[Problem]:
    """B3: nodes that ask for different votes both get one."""
    if config.witness.adapter == NO_WITNESS or config.witness.pair:
        return
    for name, address in (("listen", config.node.listen), ("peer", config.node.peer)):
        if not is_definite(address):
            text = _(
                "witness.pair is not set: node.{name} = {value} does not tell the nodes apart; "
                "required is a name, the same on both nodes"
            ).format(name=name, value=shown(address))
            yield Problem(text, (("witness", "pair"), ("node", name), ("witness", "adapter")))
            return


def _hold_s(config: Config) -> float:
    failover = config.failover
    return hold_s(config.witness.lease_s, failover.stop_bound_s, failover.max_clock_drift)


def _leases_can_be_kept(config: Config) -> Iterator[Problem]:
    """B3: the lease rule."""
    if config.witness.adapter == NO_WITNESS:
        return
    lease: KeyPath = ("witness", "lease_s")
    lease_s, beat_s = config.witness.lease_s, config.failover.heartbeat_interval_s
    if lease_s < 2 * beat_s * (1 - _ROUNDING):
        text = _(
            "allowed is at least 2 * failover.heartbeat_interval_s, or a vote runs out between two "
            "looks at the time, and {lease_s:g} < 2 * {beat_s:g} = {least_s:g}"
        ).format(lease_s=lease_s, beat_s=beat_s, least_s=2 * beat_s)
        yield Problem(about(lease, lease_s, text), (lease, ("failover", "heartbeat_interval_s")))


_RULES: tuple[Callable[[Config], Iterable[Problem]], ...] = (
    _peer_is_another,
    check_tls,
    check_web,
    _down_interval_holds_heartbeats,
    _names_are_unique,
    _directories_are_apart,
    _units_have_commands,
    _handover_lasts,
    _policy_and_witness_fit,
    _witness_is_complete,
    _licence_is_complete,
    _pair_has_a_name,
    _leases_can_be_kept,
    check_mail,
)
