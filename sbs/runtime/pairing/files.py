"""The two files by which a node knows itself and its peer, and how they are changed (B62).

Each is replaced as a whole, durably, by one rename: a node that runs and reads them again finds
the former content or the new one, and so does one that starts after a power cut.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress

import attrs

from sbs.adapters.transports.identity import (
    Certificate,
    make_identity,
    parse_certificates,
    read_identity,
    read_pins,
)
from sbs.config.permissions import displaced
from sbs.errors import PairingError
from sbs.runtime.lasting.records import sync_directory


@attrs.frozen(kw_only=True)
class NewIdentity:
    """An identity that is not in its place yet.

    Args:
        pem: what its file will hold.
        certificate: its public part.
    """

    pem: bytes = attrs.field(repr=False)
    certificate: Certificate

    @classmethod
    def make(cls, name: str, now: dt.datetime) -> NewIdentity:
        """A new one.

        Args:
            name: of the node, 1 to 64 characters.
            now: the time, with its zone.
        """
        pem = make_identity(name, now)
        return cls(pem=pem, certificate=parse_certificates(pem.decode(), "new identity")[0])


@attrs.frozen(kw_only=True)
class PairFiles:
    """Where they lie.

    Args:
        identity: ``tls.identity``, an absolute path.
        pins: ``tls.peer_certificate``, an absolute path.
    """

    identity: str
    pins: str

    def check_places(self) -> None:
        """Make sure that nobody else chooses which files these are: root may write any.

        Raises:
            PairingError: somebody could, or a directory cannot be looked at.
        """
        for path in (self.identity, self.pins):
            with _explained(path):
                why = displaced(path)
            if why:
                raise PairingError(why)

    def own(self) -> Certificate | None:
        """What this node is known by; ``None`` if it has no identity yet.

        Raises:
            ConfigError: there is one that cannot be used.
        """
        return read_identity(self.identity) if os.path.lexists(self.identity) else None

    def pinned(self) -> tuple[Certificate, ...]:
        """What it accepts from its peer; empty if nothing is pinned yet.

        Raises:
            ConfigError: the file is there and cannot be used.
        """
        return read_pins(self.pins) if os.path.lexists(self.pins) else ()

    def put_identity(self, new: NewIdentity) -> None:
        """Let the node be known by this from now on.

        Raises:
            PairingError: it could not be written; the former one stands.
        """
        _replace(self.identity, new.pem, 0o600)

    def pin(self, certificates: Iterable[Certificate]) -> None:
        """Accept these, and no others, from the peer.

        Args:
            certificates: each once or more; only their first place counts.

        Raises:
            PairingError: they could not be written; the former ones stand.
        """
        pems = dict.fromkeys(each.pem for each in certificates)
        _replace(self.pins, "".join(pems).encode(), 0o644)


def create(path: str, data: bytes, mode: int) -> None:
    """Make a file that is whole from its first moment; its directories are made, too.

    Args:
        path: of it, absolute; nothing may stand there.
        data: what it holds.
        mode: its permissions, less the ``umask``.

    Raises:
        PairingError: it could not be written, or something stands there.
    """
    with _explained(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = _prepare(path, data, mode)
        try:
            os.link(temporary, path)  # unlike rename it never replaces
        finally:
            os.unlink(temporary)
        sync_directory(os.path.dirname(path))


def _replace(path: str, data: bytes, mode: int) -> None:
    """Make or replace a file."""
    place = os.path.realpath(path)
    with _explained(path):
        os.rename(_prepare(place, data, mode), place)
        sync_directory(os.path.dirname(place))


def _prepare(place: str, data: bytes, mode: int) -> str:
    """A durable file beside ``place``, under a name that is nobody else's."""
    temporary = f"{place}.sbs-new"
    with suppress(FileNotFoundError):  # a crash left it, with whatever mode
        os.unlink(temporary)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    return temporary


@contextmanager
def _explained(path: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise PairingError(
            f"{path} cannot be written: {error.strerror}; run this as the account that runs the "
            "node"
        ) from error
