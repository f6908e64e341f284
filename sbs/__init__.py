"""SBS keeps a second server ready to replace the first.

What an integrator needs, under one roof: a node to embed, its configuration, the ports that
adapters fulfil, replication alone, and every error. The core is in :mod:`sbs.core`, what
tests need in :mod:`sbs.testing`. Names are imported when they are used: who drives the core needs
neither trio nor the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from sbs.version import __version__

if TYPE_CHECKING:
    from sbs.adapters.transports.tcp import TcpTransport
    from sbs.config import Config
    from sbs.config import load as load_config
    from sbs.config import parse as parse_config
    from sbs.core.address import Address
    from sbs.core.claim import Mode, Policy, Role
    from sbs.core.epoch import Epoch
    from sbs.core.history import Generation, History
    from sbs.core.licence import Kind as LicenceKind
    from sbs.core.licence import Licence, Standing, Start
    from sbs.core.manifest import FolderSpec
    from sbs.core.notice import Notice
    from sbs.errors import (
        ConfigError,
        DialRefusedError,
        EncryptedError,
        IdentityError,
        InstallationError,
        LicenceError,
        ListenError,
        LocalProtocolError,
        MismatchError,
        NotifyError,
        NotKeptError,
        NotRunningError,
        PairingError,
        ProtocolError,
        RefusedError,
        RejectedError,
        RemoteProtocolError,
        ReplicationError,
        SbsError,
        ServiceError,
        StateError,
        TlsError,
        TransportError,
        UnreachableError,
        VersionError,
        WitnessError,
        WrongCodeError,
    )
    from sbs.log import LoggedEvent
    from sbs.ports import (
        LicenceFactory,
        LicenceOptions,
        LicensePolicy,
        Listener,
        Notifier,
        NotifierFactory,
        NotifierOptions,
        SendStep,
        ServiceController,
        ServiceFactory,
        ServiceState,
        Transport,
        Unit,
        Vote,
        Witness,
        WitnessFactory,
        WitnessOptions,
    )
    from sbs.replication.files.index import Index
    from sbs.replication.following.target import Target
    from sbs.replication.leading.source import Source
    from sbs.runtime.node import Node
    from sbs.runtime.operating.status import Status, Switchover
    from sbs.runtime.probing.checks import ProbeReport
    from sbs.runtime.probing.probe import probe
    from sbs.runtime.running import run_node

__all__ = [
    "Address",
    "Config",
    "ConfigError",
    "DialRefusedError",
    "EncryptedError",
    "Epoch",
    "FolderSpec",
    "Generation",
    "History",
    "IdentityError",
    "Index",
    "InstallationError",
    "Licence",
    "LicenceError",
    "LicenceFactory",
    "LicenceKind",
    "LicenceOptions",
    "LicensePolicy",
    "ListenError",
    "Listener",
    "LocalProtocolError",
    "LoggedEvent",
    "MismatchError",
    "Mode",
    "Node",
    "NotKeptError",
    "NotRunningError",
    "Notice",
    "Notifier",
    "NotifierFactory",
    "NotifierOptions",
    "NotifyError",
    "PairingError",
    "Policy",
    "ProbeReport",
    "ProtocolError",
    "RefusedError",
    "RejectedError",
    "RemoteProtocolError",
    "ReplicationError",
    "Role",
    "SbsError",
    "SendStep",
    "ServiceController",
    "ServiceError",
    "ServiceFactory",
    "ServiceState",
    "Source",
    "Standing",
    "Start",
    "StateError",
    "Status",
    "Switchover",
    "Target",
    "TcpTransport",
    "TlsError",
    "Transport",
    "TransportError",
    "Unit",
    "UnreachableError",
    "VersionError",
    "Vote",
    "Witness",
    "WitnessError",
    "WitnessFactory",
    "WitnessOptions",
    "WrongCodeError",
    "__version__",
    "load_config",
    "parse_config",
    "probe",
    "run_node",
]

_PLACES: Final = {
    "sbs.adapters.transports.tcp": ("TcpTransport",),
    "sbs.config": ("Config",),
    "sbs.core.address": ("Address",),
    "sbs.core.claim": ("Mode", "Policy", "Role"),
    "sbs.core.epoch": ("Epoch",),
    "sbs.core.history": ("Generation", "History"),
    "sbs.core.licence": ("Licence", "Standing", "Start"),
    "sbs.core.manifest": ("FolderSpec",),
    "sbs.core.notice": ("Notice",),
    "sbs.log": ("LoggedEvent",),
    "sbs.ports": (
        "LicenceFactory",
        "LicenceOptions",
        "LicensePolicy",
        "Listener",
        "Notifier",
        "NotifierFactory",
        "NotifierOptions",
        "SendStep",
        "ServiceController",
        "ServiceFactory",
        "ServiceState",
        "Transport",
        "Unit",
        "Vote",
        "Witness",
        "WitnessFactory",
        "WitnessOptions",
    ),
    "sbs.replication.files.index": ("Index",),
    "sbs.replication.leading.source": ("Source",),
    "sbs.replication.following.target": ("Target",),
    "sbs.runtime.probing.checks": ("ProbeReport",),
    "sbs.runtime.node": ("Node",),
    "sbs.runtime.probing.probe": ("probe",),
    "sbs.runtime.running": ("run_node",),
    "sbs.runtime.operating.status": ("Status", "Switchover"),
}
"""Where the names of :data:`__all__` are defined; the errors are all in :mod:`sbs.errors`."""

_RENAMED: Final = {
    "LicenceKind": ("sbs.core.licence", "Kind"),
    "load_config": ("sbs.config", "load"),
    "parse_config": ("sbs.config", "parse"),
}


def _place_of(name: str) -> tuple[str, str]:
    for module, names in _PLACES.items():
        if name in names:
            return module, name
    return "sbs.errors", name


if not TYPE_CHECKING:  # a type checker shall still find a misspelt name

    def __getattr__(name: str) -> object:
        """Import a public name at its first use (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, attribute = _RENAMED.get(name) or _place_of(name)
        value: object = getattr(importlib.import_module(module), attribute)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
