"""The first files of a node: its configuration, and its identity beside it."""

from __future__ import annotations

import datetime as dt
import os
from contextlib import suppress

from sbs.adapters.transports.identity import Certificate
from sbs.config import load, parse
from sbs.config.first import IDENTITY_FILE
from sbs.errors import RefusedError
from sbs.runtime.pairing.files import NewIdentity, create


def check_free(path: str) -> None:
    """Make sure that nothing stands where a first configuration and its identity shall be.

    Raises:
        RefusedError: something does; the text says what to do.
    """
    if os.path.lexists(path):
        raise RefusedError(
            f"{path} exists, and sbs init overwrites nothing; edit it, or name another file by -c"
        )
    identity = _identity_beside(path)
    if os.path.lexists(identity):
        raise RefusedError(
            f"{identity} exists, and may be the identity of another node here; a node has a "
            "directory of its own: name a file in another one by -c, or move this away"
        )


def begin(path: str, text: str, name: str, now: dt.datetime) -> Certificate:
    """Write a configuration and an identity, whole or not at all; the directory is made.

    Args:
        path: of the configuration, absolute.
        text: of it; it is checked before anything is written.
        name: of the node.
        now: the time, with its zone.

    Returns:
        the certificate of the new identity.

    Raises:
        ConfigError: the text is wrong.
        RefusedError: something stands there.
        PairingError: it cannot be written.
    """
    parse(text, path)
    check_free(path)
    new = NewIdentity.make(name, now)
    identity = _identity_beside(path)
    create(identity, new.pem, 0o600)
    try:
        create(path, text.encode(), 0o644)
    except BaseException:
        with suppress(OSError):
            os.unlink(identity)
        raise
    load(path)
    return new.certificate


def _identity_beside(path: str) -> str:
    return os.path.join(os.path.dirname(path), IDENTITY_FILE)
