"""Small files that are whole, or not there: version and checksum, written so as to last.

A record is one file of JSON, ``{"version": ..., "sha256": ..., "body": ...}``, the body being JSON
again, as text. It is written by temporary file, fsync, rename and fsync of the directory.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, TypeVar

from cattrs import Converter
from cattrs.errors import BaseValidationError

from sbs.core.printable import quoted
from sbs.errors import StateError

T = TypeVar("T")


def write_durably(path: str, data: bytes) -> None:
    """Replace a file, for its owner alone; on return it survives a power cut.

    Raises:
        OSError: it could not be written; the former file stands.
    """
    temporary = f"{path}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, path)
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make the names in a directory durable.

    Raises:
        OSError: that failed.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sealed(value: Any, version: int) -> bytes:
    """The bytes of a record.

    Args:
        value: made of what JSON has.
        version: of its form.
    """
    body = json.dumps(value, sort_keys=True)
    document = {"version": version, "sha256": _checksum(body), "body": body}
    return json.dumps(document, indent=1).encode()


def unsealed(raw: bytes, version: int, what: str) -> Any:
    """The value of a record.

    Args:
        raw: as :func:`sealed` made it.
        version: that is known here.
        what: the record is, for the error.

    Raises:
        ValueError: it is damaged.
        StateError: another version of this program wrote it.
    """
    try:
        document: Any = json.loads(raw)
        found = document["version"]
        if found != version:
            raise StateError(
                f"the {what} is of version {quoted(repr(found))}, and this program reads {version}:"
                " run the program that wrote it"
            )
        body = document["body"]
        if _checksum(body) != document["sha256"]:
            raise ValueError("its checksum is wrong")
        return json.loads(body)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise no_record(what, error) from error


def structured(value: Any, cls: type[T], converter: Converter, what: str) -> T:
    """The value of a record as an object.

    Args:
        value: of the record.
        cls: of the object.
        converter: makes it.
        what: the record is, for the error.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return converter.structure(value, cls)
    except (
        *(ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError),
        BaseValidationError,
    ) as error:
        raise no_record(what, error) from error


def no_record(what: str, error: Exception) -> ValueError:
    """The error for a record that makes no sense; what is wrong with it may be long."""
    return ValueError(f"it is no {what}: {quoted(repr(error))}")


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
