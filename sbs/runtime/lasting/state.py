"""The durable state of a node: identity, epoch, history, learned folders.

One file, ``state_dir/node.json``, a record as in :mod:`sbs.runtime.lasting.records`. A damaged
one is set aside and reported, never guessed. ``state_dir/lock`` makes sure that one process at a
time uses the directory.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets

import attrs
from attrs.validators import instance_of, matches_re
from cattrs.preconf.json import make_converter

from sbs.config.permissions import distrust
from sbs.core.claim import NODE_ID
from sbs.core.effects import Durable
from sbs.core.epoch import NO_EPOCH
from sbs.core.manifest import FolderSpec
from sbs.core.permissions import shared
from sbs.errors import StateError
from sbs.log import WARNING, Log
from sbs.runtime.lasting.records import sealed, structured, unsealed, write_durably

VERSION = 1
"""Of the file's form; a newer one is refused, not guessed."""

MAX_STATE_BYTES = 16 * 1024 * 1024
"""Largest file read: a bounded history, and folders with a thousand filters each, fit well."""

_log = Log(__name__)
_EXPOSED = _log.event(
    "state-dir-exposed",
    WARNING,
    "state_dir {directory}: {text}",
    "Other accounts of this machine can get at the node's state. Run the command that the "
    "text names.",
)

_converter = make_converter(detailed_validation=False)


@attrs.frozen(kw_only=True)
class Stored:
    """What a node remembers.

    Args:
        node_id: 32 hexadecimal digits, made once.
        durable: the role machine's part.
        folders: learned from the primary, with the generation held (R24).
        data_from: for people: when the newest generation came to be held; empty for unknown.
    """

    node_id: str = attrs.field(validator=[instance_of(str), matches_re(NODE_ID)])
    durable: Durable
    folders: tuple[FolderSpec, ...] = ()
    data_from: str = ""


def new_node(slot: int) -> Stored:
    """The state of a node that never ran; its identity is random.

    Args:
        slot: 0 or 1, see :class:`~sbs.core.epoch.Epoch`.
    """
    return Stored(node_id=secrets.token_hex(16), durable=Durable(slot=slot, epoch=NO_EPOCH))


class StateStore:
    """The state directory of one node, locked while this object lives.

    Args:
        state_dir: created, for its owner alone, if it is missing.

    Raises:
        StateError: another process uses it, others could change it, or it cannot be created.
    """

    def __init__(self, state_dir: str) -> None:
        self.path: str = os.path.join(state_dir, "node.json")
        try:
            os.makedirs(state_dir, mode=0o700, exist_ok=True)
            _check_access(state_dir)
            self._lock_fd = os.open(
                os.path.join(state_dir, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise StateError(
                f"state_dir {state_dir}: {error.strerror}; SBS needs to read and write there"
            ) from error
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock_fd)
            raise StateError(
                f"state_dir {state_dir} is in use: another node runs with it; see sbs status"
            ) from error

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._lock_fd)

    def load(self) -> Stored | None:
        """Read the state.

        Returns:
            it, or ``None`` if this node never ran: see :func:`new_node`.

        Raises:
            StateError: the file is damaged (it was set aside), of another version, or cannot
                be read.
        """
        try:
            with open(self.path, "rb") as file:
                raw = file.read(MAX_STATE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(
                f"{self.path}: {error.strerror}; SBS needs to read and write it"
            ) from error
        try:
            return _parse(raw)
        except ValueError as error:
            raise StateError(self._set_aside(error)) from error

    def _set_aside(self, error: Exception) -> str:
        aside = f"{self.path}.damaged-{hashlib.sha256(os.urandom(8)).hexdigest()[:8]}"
        try:
            os.rename(self.path, aside)
        except OSError as failure:
            return f"{self.path} is damaged ({error}), and cannot be set aside: {failure.strerror}"
        return (
            f"{self.path} is damaged ({error}); it was set aside as {aside}. Put a good copy in "
            "its place, or start again while the peer runs: the node then joins as a new one, and "
            "learns from the peer which SBS_EPOCH numbers were used"
        )

    def save(self, stored: Stored) -> None:
        """Make the state durable; on return it survives a power cut.

        Raises:
            StateError: it could not be written; the text says why.
        """
        try:
            write_durably(self.path, _format(stored))
        except OSError as error:
            raise StateError(
                f"{self.path}: cannot be written: {error.strerror}; SBS needs room there, and leave"
            ) from error


def _check_access(state_dir: str) -> None:
    """Refuse a directory in which others could put a state, a link or a control socket.

    Raises:
        StateError: it is one.
        OSError: it cannot be looked at.
    """
    found = os.stat(state_dir)
    why = distrust(state_dir, found)
    if why:
        raise StateError(f"state_dir {why}")
    others = shared(found.st_mode)
    if others:
        _EXPOSED(directory=state_dir, text=others)


def read_node_id(state_dir: str) -> str | None:
    """The identity of the node whose state is in ``state_dir``, whether it runs or not.

    Returns:
        32 hexadecimal digits; ``None`` if no node has run with this directory.

    Raises:
        StateError: the file is damaged or cannot be read; it is left as it is.
    """
    path = os.path.join(state_dir, "node.json")
    try:
        with open(path, "rb") as file:
            return _parse(file.read(MAX_STATE_BYTES + 1)).node_id
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(
            f"{path}: {error.strerror}; run this as the account that runs the node"
        ) from error
    except ValueError as error:
        raise StateError(
            f"{path} is damaged ({error}); sbs run sets it aside, and says what to do then"
        ) from error


def _format(stored: Stored) -> bytes:
    return sealed(_converter.unstructure(stored), VERSION)


def _parse(raw: bytes) -> Stored:
    """Read the file's content.

    Raises:
        ValueError: it is damaged.
        StateError: another version of this program wrote it.
    """
    return structured(unsealed(raw, VERSION, "state"), Stored, _converter, "state")
