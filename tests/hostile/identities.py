"""Identities for all cases of a run, made once: a key costs a millisecond, a file a while."""

from __future__ import annotations

import atexit
import functools
import tempfile
from pathlib import Path

from sbs.adapters.transports.tls import Credentials, TlsTransport
from sbs.ports import Transport
from tests.adapters.tls_rig import Identities


@functools.cache
def made() -> Identities:
    """Of alpha, beta and others."""
    directory = tempfile.TemporaryDirectory(prefix="sbs-identities-")
    atexit.register(directory.cleanup)
    return Identities(Path(directory.name))


@functools.cache
def _credentials(own: str, pinned: str) -> Credentials:
    return Credentials(made().path(own), made().pins(pinned))


def transport(own: str, pinned: str, *, over: Transport) -> TlsTransport:
    """TLS between two nodes, over another transport."""
    return TlsTransport(_credentials(own, pinned), over)
