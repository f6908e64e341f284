"""Every exception SBS raises on purpose: one tree, so that one ``except`` catches it all.

An error's text says what, where, and what is allowed or what to do. Each class says beside it:

- ``exit_code``: what the command line ends with when the error reaches it (``docs/cli.md``);
- ``remedy``: what an administrator does about any error of the class; empty where each text says
  it. The command line prints it below the text.

The first sentence of a class's docstring is its cause. ``docs/errors.md`` is made from all of that.
"""

from __future__ import annotations

from typing import ClassVar


class SbsError(Exception):
    """Base of all errors of SBS; raised itself where no other fits."""

    exit_code: ClassVar[int] = 1
    remedy: str = ""


class ConfigError(SbsError):
    """The configuration is wrong; the text names file, key, value and what is allowed."""

    exit_code = 78
    remedy = "docs/configuration.md has every key and what it allows."


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

    remedy = "sbs probe finds what answers at node.peer; both nodes need the same release of SBS."


class LocalProtocolError(ProtocolError):
    """This side tried to send something the protocol does not allow now: a bug in the caller."""

    remedy = (
        "It is a bug of the program that uses the library, or of SBS: its traceback says where."
    )


class RemoteProtocolError(ProtocolError):
    """The peer sent something the protocol does not allow; nothing of it was acted upon."""


class VersionError(RemoteProtocolError):
    """Both sides speak SBS, but no version of its protocol in common."""

    remedy = ""


class EncryptedError(RemoteProtocolError):
    """The other side speaks TLS, and this one does not."""

    remedy = ""


class StateError(SbsError):
    """The durable state of this node cannot be read, trusted or written."""


class ReplicationError(SbsError):
    """A folder cannot be read, staged or applied; the text names the path and the cause."""

    remedy = "Mend what the text names, and try again; an update is tried again by itself."


class MismatchError(ReplicationError):
    """What the other node sent does not fit what it said of it, or what stands here.

    Nothing of it was applied.
    """

    remedy = (
        "It is sent again. If that ends the same way: install the same release of SBS on both "
        "nodes, and test the memory and the disks of both machines."
    )


class NotKeptError(ReplicationError):
    """A version that was asked for is not kept here; the text says what is."""

    remedy = ""


class ServiceError(SbsError):
    """A service cannot be started, stopped or watched; the text names it and the cause."""

    remedy = (
        "docs/services.md says what each adapter needs, and where the output of a service goes."
    )


class InstallationError(ServiceError):
    """SBS itself cannot be made a service of this system; the text says why, and what to do."""

    remedy = ""


class WitnessError(SbsError):
    """The witness cannot be asked; the text says which, and why."""

    remedy = (
        "Mend the witness, or the way to it: without it this node has no vote but that of the "
        "other."
    )


class NotifyError(SbsError):
    """A notice was not taken, or not for all its receivers; the text says where, and why.

    Args:
        text: what was tried, and what the answer was.
        permanent: the same again fails the same, until somebody changes something.
        refused: the receivers who do not get this notice; the others do. Empty: nobody gets it,
            and any other notice would fare the same now.
    """

    remedy = "docs/mail.md has the settings, and says what becomes of a message."

    def __init__(self, text: str, *, permanent: bool, refused: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.permanent: bool = permanent
        self.refused: tuple[str, ...] = refused


class TransportError(SbsError):
    """The peer cannot be reached, or the connection broke."""

    remedy = "sbs probe finds why the other node is not reached."


class ListenError(TransportError):
    """This node cannot be reached at its own address; the text says why, and what to do."""

    remedy = ""


class DialRefusedError(TransportError):
    """The peer's host answers, but nothing listens on the port."""

    remedy = (
        "Start the other node: sbs run. Its node.listen must be reachable at node.peer of this one."
    )


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

    remedy = ""

    def __init__(self, finding: str, advice: str) -> None:
        super().__init__(f"{finding}; {advice}")
        self.finding: str = finding
        self.advice: str = advice


class RejectedError(IdentityError):
    """The other side is whom this one expects, and does not take this one for its own."""


class TlsError(IdentityError):
    """The other side does not speak TLS, or not as SBS does."""
