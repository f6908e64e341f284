"""Every exception SBS raises on purpose: one tree, so that one ``except`` catches it all.

An error's text says what, where, and what is allowed or what to do. ``exit_code`` is what the
command line ends with when the error reaches it (``docs/cli.md``).
"""

from __future__ import annotations

from typing import ClassVar


class SbsError(Exception):
    """Base of all errors raised by SBS."""

    exit_code: ClassVar[int] = 1


class ConfigError(SbsError):
    """The configuration is wrong; the text names file, key, value and what is allowed."""

    exit_code = 78


class NotRunningError(SbsError):
    """No node is running here, or it cannot be reached."""

    exit_code = 3


class RefusedError(SbsError):
    """A rule, a guard or a policy does not allow it."""

    exit_code = 4


class LicenceError(RefusedError):
    """No licence allows it; the text says where it is, what is wrong, and what to do."""


class ProtocolError(SbsError):
    """The rules of ``docs/protocol.md`` were broken."""


class LocalProtocolError(ProtocolError):
    """This side tried to send something the protocol does not allow now: a bug in the caller."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something the protocol does not allow; nothing of it was acted upon."""


class VersionError(RemoteProtocolError):
    """Both sides speak SBS, but no version of its protocol in common."""


class EncryptedError(RemoteProtocolError):
    """The other side speaks TLS, and this one does not."""


class StateError(SbsError):
    """The durable state of this node cannot be read, trusted or written."""


class ReplicationError(SbsError):
    """A folder cannot be read, staged or applied; the text names the path and the cause."""


class ServiceError(SbsError):
    """A service cannot be started, stopped or watched; the text names it and the cause."""


class WitnessError(SbsError):
    """The witness cannot be asked; the text says which, and why."""


class NotifyError(SbsError):
    """A notice was not taken, or not for all its receivers; the text says where, and why.

    Args:
        text: what was tried, and what the answer was.
        permanent: the same again fails the same, until somebody changes something.
        refused: the receivers who do not get this notice; the others do. Empty: nobody gets it,
            and any other notice would fare the same now.
    """

    def __init__(self, text: str, *, permanent: bool, refused: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.permanent: bool = permanent
        self.refused: tuple[str, ...] = refused


class TransportError(SbsError):
    """The peer cannot be reached, or the connection broke."""


class DialRefusedError(TransportError):
    """The peer's host answers, but nothing listens on the port."""


class PairingError(SbsError):
    """Two nodes could not learn each other's certificate; the text says why, and what to do."""


class WrongCodeError(PairingError):
    """They do not have the same code."""


class UnreachableError(PairingError):
    """Nobody answers where the other node should wait for it."""

    exit_code = 3


class IdentityError(TransportError):
    """One side is not whom the other expects.

    Args:
        finding: what was seen, and of whom.
        advice: what an administrator should do.
    """

    def __init__(self, finding: str, advice: str) -> None:
        super().__init__(f"{finding}; {advice}")
        self.finding: str = finding
        self.advice: str = advice


class TlsError(IdentityError):
    """The other side does not speak TLS, or not as SBS does."""
