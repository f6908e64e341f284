"""Tells in time that an identity expires, and keeps saying that a pair is not protected (B62)."""

from __future__ import annotations

import datetime as dt
from typing import Final

import trio

from sbs.adapters.transports.identity import Certificate, read_identity, read_pins
from sbs.config import Config
from sbs.config.places import is_loopback
from sbs.core.alarm import Alarm
from sbs.errors import ConfigError
from sbs.log import WARNING, Log
from sbs.runtime.alarms import Alarms

LOOK_PERIOD_S: Final = 3600.0
"""From one look to the next."""

NOTICE_DAYS: Final = 30
"""The alarm comes so long before: time enough for an appointment."""

_INSECURE: Final = (
    "the connection to the peer leaves this machine, and is neither encrypted nor authenticated: "
    "whoever is on its way, or reaches the port, can pose as the peer, and read and change what "
    "is replicated; run sbs pair on both nodes"
)

_log = Log(__name__)
_BARE = _log.event(
    "connection-insecure",
    WARNING,
    "{text}",
    "There is no TLS between the nodes, and they are not on one machine; it is said again "
    "at each look. `sbs pair` on both nodes ends it.",
)


class IdentityWatch:
    """Looks after what proves who is who.

    Args:
        config: of the node.
        alarms: of the node.
    """

    def __init__(self, config: Config, alarms: Alarms) -> None:
        self._tls = config.tls
        ends = config.node.listen, config.node.peer
        self._beyond = not all(is_loopback(end.host) for end in ends)
        self._alarms = alarms

    async def run_forever(self) -> None:
        """Look again and again."""
        while True:
            if self._tls.is_on:
                self.look(dt.datetime.now(dt.UTC))
            elif self._beyond:
                self._alarms.raise_(Alarm.INSECURE, _INSECURE)
                _BARE(text=_INSECURE)
            await trio.sleep(LOOK_PERIOD_S)

    def look(self, now: dt.datetime) -> None:
        """Read the files, and raise or clear the alarms.

        Args:
            now: the time, with its zone.
        """
        try:
            own, pins = read_identity(self._tls.identity), read_pins(self._tls.peer_certificate)
        except ConfigError as error:
            text = f"{error}; it stays in use until SBS ends"
            self._alarms.raise_(Alarm.IDENTITY_UNREADABLE, text)
            return
        self._alarms.clear(Alarm.IDENTITY_UNREADABLE)
        newest = max(pins, key=lambda pin: pin.expires_at)
        texts = [
            f"{whose} certificate {_when(certificate, now)}; run sbs pair --renew {where}"
            for whose, certificate, where in (
                ("this node's", own, "here"),
                ("the peer's", newest, "there"),
            )
            if certificate.expires_at - now <= dt.timedelta(days=NOTICE_DAYS)
        ]
        self._alarms.tell(Alarm.IDENTITY_EXPIRES, texts)


def _when(certificate: Certificate, now: dt.datetime) -> str:
    day = certificate.expires_at.date().isoformat()
    if certificate.expires_at <= now:
        return f"has expired on {day}: the nodes do not find each other any more"
    return f"expires on {day}: from then on the nodes do not find each other"
