"""Makes the parts of a node that its configuration names, or that its program brings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

from sbs.adapters import licences, services, witnesses
from sbs.adapters.transports.tcp import TcpTransport
from sbs.adapters.transports.tls import Credentials, TlsTransport
from sbs.config import Config
from sbs.config.failover import NO_WITNESS
from sbs.errors import ConfigError
from sbs.ports import (
    LicenceFactory,
    LicenceOptions,
    LicensePolicy,
    ServiceController,
    ServiceFactory,
    Transport,
    Witness,
    WitnessFactory,
    WitnessOptions,
)
from sbs.runtime.alarms import Alarms

if TYPE_CHECKING:
    from sbs.runtime.showing.door import Door
    from sbs.runtime.showing.snapshots import Shown


def make_policy(
    config: Config, brought: LicenceFactory | None
) -> AbstractAsyncContextManager[LicensePolicy]:
    """The licence policy, to be opened.

    Raises:
        ConfigError: the configured adapter cannot be had.
    """
    licence = config.licence
    options = LicenceOptions(
        node=config.node.name, path=licence.path, trusted_keys=licence.trusted_keys
    )
    return (brought or licences.load(licence.adapter))(options)


def make_controller(
    config: Config, brought: ServiceFactory | None, held_fds: Sequence[int]
) -> AbstractAsyncContextManager[ServiceController]:
    """The service controller, to be opened.

    Raises:
        ConfigError: the configured adapter cannot be had.
    """
    factory = brought or services.load(config.services.adapter)
    return factory(config.services.unit, held_fds)


def make_witness(
    config: Config, brought: WitnessFactory | None
) -> AbstractAsyncContextManager[Witness | None]:
    """The witness, to be opened; ``None`` where none is configured.

    Raises:
        ConfigError: the configured adapter cannot be had.
    """
    witness = config.witness
    if witness.adapter == NO_WITNESS:
        return nullcontext()
    options = WitnessOptions(
        pair=config.witness_pair, path=witness.path, endpoints=witness.endpoints
    )
    return (brought or witnesses.load(witness.adapter))(options)


def make_transport(config: Config) -> Transport:
    """What carries bytes between the nodes: TLS where it is configured, else plain TCP (B62).

    Raises:
        ConfigError: the identity or the pinned certificate cannot be used.
    """
    tls = config.tls
    return (
        TlsTransport(Credentials(tls.identity, tls.peer_certificate))
        if tls.is_on
        else TcpTransport()
    )


def make_door(config: Config, node: Shown, alarms: Alarms) -> Door | None:
    """What shows the node by HTTP (B61); ``None`` where that is off.

    Raises:
        ConfigError: the packages that it needs are not installed.
    """
    listen = config.web.listen
    if listen is None:
        return None
    try:
        from sbs.runtime.showing.door import Door  # noqa: PLC0415 - needs the extra
    except ImportError as error:
        text = f'web.listen = "{listen}": {error}; install sbs[web]'
        raise ConfigError(text) from error
    return Door(listen, node, alarms)
