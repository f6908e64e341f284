"""The configuration file that is edited: read as a whole, replaced as a whole, by one editor."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from gettext import gettext as _
from typing import Final

import attrs

from sbs.config.reading import MAX_FILE_BYTES, parse
from sbs.errors import ConfigError
from sbs.runtime.lasting.records import sync_directory

_BOM: Final = b"\xef\xbb\xbf"
"""Some editors begin a file with it; it stays."""


class ChangedError(ConfigError):
    """Somebody else has changed the file since it was read."""

    remedy = ""


@attrs.frozen(kw_only=True)
class ConfigFile:
    """A configuration as it was read.

    Args:
        path: of the file.
        data: all of it, at that time.
    """

    path: str
    data: bytes = attrs.field(repr=False)

    @classmethod
    def read(cls, path: str) -> ConfigFile:
        """The file as it stands.

        Raises:
            ConfigError: it cannot be read, or is no text.
        """
        file = cls(path=path, data=_read(path))
        try:
            file.data.decode()
        except UnicodeDecodeError as error:
            text = _("{path}: byte {number} is not UTF-8")
            raise ConfigError(text.format(path=path, number=error.start)) from error
        return file

    @property
    def text(self) -> str:
        """What it says, with the ends of its lines."""
        return self.data.removeprefix(_BOM).decode()

    def is_changed(self) -> bool:
        """Whether somebody else has changed it since.

        Raises:
            ConfigError: it cannot be read any more.
        """
        return _read(self.path) != self.data

    def write(self, text: str) -> ConfigFile:
        """Replace the file durably; its mode, owner and attributes stay.

        A change by another program that comes between the look at the file and the rename a moment
        later is not seen.

        Args:
            text: as :mod:`sbs.config.editing` gives it.

        Returns:
            the file as it stands now.

        Raises:
            ChangedError: somebody else has changed it; nothing was written.
            ConfigError: it would be wrong, with all that is wrong, or it cannot be written.
        """
        parse(text, self.path)
        if self.is_changed():
            raise ChangedError(
                _(
                    "{path}: another program has changed it since it was read; nothing was saved: "
                    "read it again"
                ).format(path=self.path)
            )
        data = (_BOM if self.data.startswith(_BOM) else b"") + text.encode()
        try:
            _replace(os.path.realpath(self.path), data)
        except OSError as error:
            raise ConfigError(
                _(
                    "{path}: it cannot be written: {cause}; run this as the account that owns it"
                ).format(path=self.path, cause=error.strerror or error)
            ) from error
        return attrs.evolve(self, data=data)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error)
        text = _("{path}: the file cannot be read: {cause}")
        raise ConfigError(text.format(path=path, cause=cause)) from error
    if len(data) > MAX_FILE_BYTES:
        text = _("{path}: the file is over {limit} bytes")
        raise ConfigError(text.format(path=path, limit=MAX_FILE_BYTES))
    return data


def _replace(place: str, data: bytes) -> None:
    """Put a file in the place of another one, as which it looks but for its content."""
    directory, name = os.path.split(place)
    fd, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            _dress(fd, place)
            file.flush()
            os.fsync(fd)
        os.rename(temporary, place)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_directory(directory)


def _dress(fd: int, place: str) -> None:
    """Owner first: changing it takes the set-id bits away."""
    former = os.stat(place)
    own = os.fstat(fd)
    if (own.st_uid, own.st_gid) != (former.st_uid, former.st_gid):
        os.fchown(fd, former.st_uid, former.st_gid)
    os.fchmod(fd, former.st_mode & 0o7777)
    for name in os.listxattr(place):  # ACLs among them
        os.setxattr(fd, name, os.getxattr(place, name))
