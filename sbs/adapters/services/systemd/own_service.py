"""SBS itself as a unit of systemd: installed by hand or at the boot, and taken out again (R31)."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sbs.adapters.services.systemd.binding import UNIT_DIR, systemctl
from sbs.errors import InstallationError

UNITS: Final = Path("/etc/systemd/system")
"""Where an administrator's units lie."""

MARK: Final = "# Written by sbs service install"
"""How a file begins that may be replaced or removed."""

_TEXT: Final = (
    MARK
    + """; sbs service uninstall removes it. Change it with systemctl edit.
[Unit]
Description=SBS node {config}
Wants=network-online.target
After=network-online.target dbus.service
# A node that cannot run now, for its port is still held, say, is tried for as long as it takes.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
# A node whose role loop is stuck is killed and started again; SIGABRT would not reach a frozen one.
WatchdogSec=10s
WatchdogSignal=SIGKILL
Restart=on-failure
RestartSec=3s
# Wrong usage, refused by a rule, wrong configuration: trying again changes nothing.
RestartPreventExitStatus=2 4 78
# The fencer has to outlive SBS: it ends the services, tells the other node, and then ends itself.
KillMode=process
OOMPolicy=continue
# Before it serves a node completes what a crash left; before it ends it sends a last update.
TimeoutStartSec=infinity
TimeoutStopSec=15min

[Install]
WantedBy=multi-user.target
"""
)


def unit_file(command: Sequence[str], config: str) -> str:
    """The text of the unit.

    Args:
        command: program, with its path, and arguments.
        config: path of the configuration, for the description.
    """
    words = " ".join(_word(word) for word in command)
    return _TEXT.format(command=words, config=config.replace("%", "%%"))


def install(name: str, text: str, *, automatic: bool) -> str:
    """Install a unit, or replace one that was installed so; a node that runs is left alone.

    Args:
        name: without ``.service``: letters, digits and ``:_.-``.
        text: as :func:`unit_file` makes it.
        automatic: start it at the boot; else by hand only (R31).

    Returns:
        what was done.

    Raises:
        InstallationError: systemd does not run here, SBS is not root, or the unit is not ours.
    """
    path = _path(name)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InstallationError(f"cannot write {path}: {error.strerror}; SBS needs root") from error
    _run("daemon-reload")
    _run("enable" if automatic else "disable", path.name)
    start = "at the boot" if automatic else "by hand"
    return f"installed {path}, started {start}; now: systemctl start {name}"


def is_free(name: str) -> bool:
    """Whether :func:`install` can be done here, by this account, and replaces nothing.

    Args:
        name: likewise.
    """
    path = UNITS / f"{name}.service"
    return UNIT_DIR.is_dir() and os.geteuid() == 0 and not os.path.lexists(path)


def unit_of(config: str) -> str:
    """The unit that runs a configuration, with ``.service``; empty if none was installed for it.

    Args:
        config: path of it, absolute.
    """
    line = f"\nDescription=SBS node {config.replace('%', '%%')}\n"
    for path in sorted(UNITS.glob("*.service")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if text.startswith(MARK) and line in text:
            return path.name
    return ""


def start(unit: str) -> None:
    """Have a unit started, and do not wait for it.

    Args:
        unit: as :func:`unit_of` finds it.

    Raises:
        InstallationError: systemd does not run here, or refuses.
    """
    _run("start", "--no-block", unit)


def uninstall(name: str) -> str:
    """Stop a unit that was installed so, in order, and remove it.

    Args:
        name: as for :func:`install`.

    Returns:
        what was done.

    Raises:
        InstallationError: as :func:`install`, or the node cannot be stopped.
    """
    path = _path(name)
    if not path.exists():
        return f"{path} is not installed"
    _run("disable", "--now", path.name)
    path.unlink()
    _run("daemon-reload")
    return f"stopped and removed {path}"


def _path(name: str) -> Path:
    """Where the unit lies, once it is certain that it may be touched."""
    if not re.fullmatch(r"[A-Za-z0-9:_.-]{1,200}", name):
        raise InstallationError(f"name {name!r}: allowed are letters, digits and :_.-, at most 200")
    if not UNIT_DIR.is_dir():
        raise InstallationError(
            "systemd does not run here; sbs service install --print shows the unit"
        )
    if os.geteuid() != 0:
        raise InstallationError("only root may install services: run it with sudo")
    path = UNITS / f"{name}.service"
    try:
        if not path.read_text(encoding="utf-8", errors="replace").startswith(MARK):
            raise InstallationError(
                f"{path} was not written by sbs service install; it is left alone"
            )
    except FileNotFoundError:
        return path
    return path


def _run(*words: str) -> None:
    done = subprocess.run(  # noqa: S603 - verbs and a checked name
        [systemctl(), "--quiet", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise InstallationError(
            f"systemctl {' '.join(words)}: {done.stderr.strip()}; systemctl status says more"
        )


def _word(word: str) -> str:
    """An argument as ``ExecStart=`` of systemd.service(5) reads it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else f'"{escaped}"'
