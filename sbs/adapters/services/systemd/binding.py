"""What SBS lays beside a unit: a drop-in that binds it to SBS, and the permit to start (R30, B31).

Both lie below ``/run``, so nothing of them survives a restart of the machine.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sbs.errors import ServiceError

UNIT_DIR: Final = Path("/run/systemd/system")
"""Where systemd looks for runtime units and drop-ins; it exists where systemd runs."""

PERMIT_DIR: Final = Path("/run/sbs/permits")
"""A unit's permit has the unit's name and holds its environment."""

DROP_IN: Final = "50-sbs.conf"

_TEXT: Final = """\
# Written by SBS when it starts and removed when it ends; see its docs/systemd.md.
# SBS alone starts this unit: sbs unit start. Without its permit the start fails.
[Unit]
BindsTo={scope}
After={scope}

[Service]
EnvironmentFile={permit}
"""


def bind(unit: str, scope: str) -> None:
    """Write a unit's drop-in; it counts after a reload.

    Args:
        unit: full name.
        scope: which the unit does not outlive.

    Raises:
        ServiceError: it cannot be written.
    """
    _write(_drop_in(unit), _TEXT.format(scope=scope, permit=PERMIT_DIR / unit))


def bound_to(unit: str) -> str:
    """The scope that a unit's drop-in names; empty: there is none."""
    try:
        text = _drop_in(unit).read_text(encoding="utf-8")
    except OSError:
        return ""
    match = re.search(r"^BindsTo=(\S+)$", text, re.MULTILINE)
    return match[1] if match else ""


def unbind(unit: str) -> None:
    """Remove a unit's drop-in and permit; it counts after a reload."""
    forbid(unit)
    path = _drop_in(unit)
    path.unlink(missing_ok=True)
    try:
        path.parent.rmdir()
    except OSError:  # somebody else has a drop-in there, too
        return


def permit(unit: str, environment: Mapping[str, str]) -> None:
    """Allow a unit to be started, with this environment added to its own.

    Raises:
        ServiceError: it cannot be written, or a value cannot be told to systemd.
    """
    lines = "".join(f"{key}={quoted(value)}\n" for key, value in environment.items())
    _write(PERMIT_DIR / unit, lines)


def forbid(unit: str) -> None:
    """Take a unit's permit back: what runs runs on, but nothing starts any more."""
    (PERMIT_DIR / unit).unlink(missing_ok=True)


def quoted(value: str) -> str:
    """A value as ``EnvironmentFile=`` of systemd.exec(5) reads it.

    Raises:
        ServiceError: it holds what no environment can.
    """
    if "\0" in value:
        raise ServiceError("a value of the environment holds a NUL")
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def _drop_in(unit: str) -> Path:
    return UNIT_DIR / f"{unit}.d" / DROP_IN


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole: whoever reads it meanwhile gets the old one or the new one."""
    new = path.with_name(f".{path.name}.new")
    mode = 0o600 if path.parent == PERMIT_DIR else 0o644
    try:
        for directory in (path.parent.parent, path.parent):  # each by itself, for the mode
            directory.mkdir(mode=0o755, exist_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            os.fchmod(fd, mode)
        os.replace(new, path)
    except OSError as error:
        raise ServiceError(f"cannot write {path}: {error.strerror}; SBS needs root") from error


def systemctl() -> str:
    """The program that the fencer asks.

    Raises:
        ServiceError: systemd does not run here.
    """
    program = shutil.which("systemctl")
    if program is None or not UNIT_DIR.is_dir():
        raise ServiceError("the adapter 'systemd' needs systemd, which does not run here")
    return program
