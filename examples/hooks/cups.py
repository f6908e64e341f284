"""Replicates the printers of CUPS: an update and apply hook of SBS.

    update = [["python3", "cups.py", "/srv/app/dumps/printers.json"]]
    apply = [["python3", "cups.py", "/srv/app/dumps/printers.json"]]

The file lies in a replicated folder. SBS needs to be in the group that may administrate CUPS
(``lpadmin``), and to read ``/etc/cups/ppd``. What cannot be carried over is told as warnings:
printers that are attached to the other machine, and those whose driver is not installed here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

PPD_DIR = os.environ.get("CUPS_PPD_DIR", "/etc/cups/ppd")
FILTER_DIR = os.environ.get("CUPS_FILTER_DIR", "/usr/lib/cups/filter")

LOCAL = ("usb:", "parallel:", "serial:", "hal:", "file:", "direct:")
"""Devices that no other machine has."""

DRIVERLESS = ("ipp:", "ipps:", "dnssd:")
"""Printers that say themselves what they can do."""

Printer = dict[str, Any]


def warn(text: str) -> None:
    """Tell the administrator."""
    print(f"warning: {' '.join(text.split())}")


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command of CUPS, in the language that this script reads."""
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)


def devices() -> Iterator[tuple[str, str]]:
    """Name and device of each printer of this machine."""
    done = run("lpstat", "-v")
    if done.returncode and "No destinations" not in done.stderr:
        sys.exit(f"lpstat -v: {done.stderr.strip()}")
    for line in done.stdout.splitlines():
        if found := re.fullmatch(r"device for ([^:]+): (.*)", line):
            yield found[1], found[2]


def describe(name: str, device: str) -> Printer:
    """What the other machine needs to know of a printer."""
    options = dict(
        word.partition("=")[::2] for word in shlex.split(run("lpoptions", "-p", name).stdout)
    )
    try:
        with open(os.path.join(PPD_DIR, f"{name}.ppd"), encoding="utf-8") as file:
            ppd = file.read()
    except FileNotFoundError:
        ppd = ""
    return {
        "name": name,
        "device": device,
        "info": options.get("printer-info", ""),
        "location": options.get("printer-location", ""),
        "ppd": ppd,
    }


def export(path: str) -> None:
    """Write the printers down; print the path if something changed."""
    printers: list[Printer] = []
    for name, device in devices():
        if device.startswith(LOCAL):
            warn(f"printer {name} is attached to this machine ({device})")
        else:
            printers.append(describe(name, device))
    text = json.dumps(sorted(printers, key=lambda each: str(each["name"])), indent=1)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    with open(f"{path}.tmp", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.tmp", path)
    print(os.path.abspath(path))


def missing_filters(ppd: str) -> Iterator[str]:
    """The programs that a driver needs and that are not installed here."""
    for value in re.findall(r'^\*cupsFilter2?:\s*"([^"]+)"', ppd, re.MULTILINE):
        program = value.split()[-1]
        if program != "-" and not os.path.exists(os.path.join(FILTER_DIR, program)):
            yield program


def add(printer: Printer) -> None:
    """Set a printer up, or change it."""
    name, device, ppd = (str(printer[key]) for key in ("name", "device", "ppd"))
    if missing := ", ".join(missing_filters(ppd)):
        warn(f"printer {name}: its driver is not installed here ({missing})")
        return
    words = ["lpadmin", "-p", name, "-v", device, "-D", printer["info"], "-L", printer["location"]]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".ppd") as file:
        if ppd:
            file.write(ppd)
            file.flush()
            words += ["-P", file.name]
        else:
            words += ["-m", "everywhere" if device.startswith(DRIVERLESS) else "raw"]
        done = run(*words, "-E")
    if done.returncode:
        warn(f"printer {name} cannot be set up here: {done.stderr.strip()}")


def restore(path: str) -> None:
    """Set up what was written down."""
    if not os.path.exists(path):
        warn(f"the primary has no list of printers at {path}")
        return
    with open(path, encoding="utf-8") as file:
        printers: list[Printer] = json.load(file)
    for printer in printers:
        add(printer)
    known = {printer["name"] for printer in printers}
    for name, device in devices():
        if name not in known and not device.startswith(LOCAL):
            warn(f"printer {name} is set up here, and not on the primary")


def main() -> None:
    """Export or import, as ``SBS_HOOK`` says."""
    (path,) = sys.argv[1:]
    try:
        {"update": export, "apply": restore}[os.environ["SBS_HOOK"]](path)
    except OSError as error:
        sys.exit(f"{path}: {error}")


if __name__ == "__main__":
    main()
