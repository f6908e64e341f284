"""The configuration file of a node: TOML to settings, with errors that say what is allowed."""

from __future__ import annotations

from sbs.config.failover import FailoverSettings, WitnessSettings
from sbs.config.licence import LicenceSettings
from sbs.config.mail import MailSettings
from sbs.config.reading import load, parse
from sbs.config.services import ServiceSettings
from sbs.config.settings import (
    Config,
    FolderSettings,
    HookSettings,
    NodeSettings,
    RequirementSettings,
    SyncSettings,
)
from sbs.config.tls import TlsSettings
from sbs.config.web import WebSettings

__all__ = [
    "Config",
    "FailoverSettings",
    "FolderSettings",
    "HookSettings",
    "LicenceSettings",
    "MailSettings",
    "NodeSettings",
    "RequirementSettings",
    "ServiceSettings",
    "SyncSettings",
    "TlsSettings",
    "WebSettings",
    "WitnessSettings",
    "load",
    "parse",
]
