"""The commands of CUPS are played by scripts: no printer, and no daemon, is needed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.examples.hooks import hook, lines_of, run_hook
from tests.support import wait_until
from tests.system.nodes import pair_in

DRIVER = '*PPD-Adobe: "4.3"\n*cupsFilter: "application/vnd.cups-raster 0 rastertolabel"\n'

LPSTAT = """#!/bin/sh
if [ -s "$CUPS_FAKE/devices" ]; then cat "$CUPS_FAKE/devices"; exit 0; fi
echo "lpstat: No destinations added." >&2; exit 1
"""

LPOPTIONS = """#!/bin/sh
echo "copies=1 printer-info='Label printer, hall 3' printer-location=Hall\\\\ 3"
"""

LPADMIN = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done > "$CUPS_FAKE/last"
while [ $# -gt 1 ]; do
    case $1 in -p) name=$2 ;; -v) device=$2 ;; -P) ppd=$2 ;; esac
    shift
done
[ "$name" = broken ] && { echo "lpadmin: Bad device-uri" >&2; exit 1; }
mv "$CUPS_FAKE/last" "$CUPS_FAKE/added-$name"
[ -z "$ppd" ] || cp "$ppd" "$CUPS_FAKE/ppd/$name.ppd"
grep -qs "^device for $name:" "$CUPS_FAKE/devices" ||
    echo "device for $name: $device" >> "$CUPS_FAKE/devices"
"""


class Cups:
    """One machine's CUPS."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.programs = directory / "bin"
        for part in ("bin", "ppd", "filter"):
            (directory / part).mkdir(parents=True)
        for name, text in (("lpstat", LPSTAT), ("lpoptions", LPOPTIONS), ("lpadmin", LPADMIN)):
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "CUPS_FAKE": str(self.directory),
            "CUPS_PPD_DIR": str(self.directory / "ppd"),
            "CUPS_FILTER_DIR": str(self.directory / "filter"),
        }

    def add(self, name: str, device: str, ppd: str = "") -> None:
        with open(self.directory / "devices", "a") as file:
            file.write(f"device for {name}: {device}\n")
        if ppd:
            (self.directory / "ppd" / f"{name}.ppd").write_text(ppd)

    def added(self, name: str) -> list[str]:
        """How ``lpadmin`` was called for a printer."""
        path = self.directory / f"added-{name}"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, kind: str, path: Path) -> list[str]:
        return lines_of(run_hook(hook("cups.py", path), SBS_HOOK=kind, **self.environment))


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Cups, Cups]:
    return Cups(tmp_path / "one"), Cups(tmp_path / "other")


def test_printers_are_set_up_on_the_other_machine(
    machines: tuple[Cups, Cups], tmp_path: Path
) -> None:
    """R25: with driver, description and place."""
    one, other = machines
    path = tmp_path / "printers.json"
    one.add("labels", "socket://192.0.2.7:9100", DRIVER)
    one.add("office", "ipp://192.0.2.8/ipp/print")
    one.add("raw", "lpd://192.0.2.9/queue")
    (other.directory / "filter" / "rastertolabel").touch()
    assert one.run("update", path) == [str(path)]
    assert other.run("apply", path) == []
    words = other.added("labels")
    assert words[:4] == ["-p", "labels", "-v", "socket://192.0.2.7:9100"]
    assert words[4:8] == ["-D", "Label printer, hall 3", "-L", "Hall 3"]
    assert (other.directory / "ppd" / "labels.ppd").read_text() == DRIVER
    assert other.added("office")[-3:] == ["-m", "everywhere", "-E"]
    assert other.added("raw")[-3:] == ["-m", "raw", "-E"]


def test_what_did_not_change_is_not_told(machines: tuple[Cups, Cups], tmp_path: Path) -> None:
    """R25."""
    one, _ = machines
    path = tmp_path / "printers.json"
    assert one.run("update", path) == [str(path)]
    assert json.loads(path.read_text()) == []
    assert one.run("update", path) == []
    one.add("office", "ipp://192.0.2.8/ipp/print")
    assert one.run("update", path) == [str(path)]


def test_what_cannot_be_carried_over_is_listed(machines: tuple[Cups, Cups], tmp_path: Path) -> None:
    """R25: a printer without its driver, one on a cable, one that CUPS refuses, one too many."""
    one, other = machines
    path = tmp_path / "printers.json"
    one.add("usb", "usb://Maker/Model?serial=1")
    one.add("labels", "socket://192.0.2.7:9100", DRIVER)
    one.add("broken", "odd://x")
    other.add("own", "ipp://192.0.2.99/ipp/print")
    assert one.run("update", path) == [
        "warning: printer usb is attached to this machine (usb://Maker/Model?serial=1)",
        str(path),
    ]
    assert other.run("apply", path) == [
        "warning: printer broken cannot be set up here: lpadmin: Bad device-uri",
        "warning: printer labels: its driver is not installed here (rastertolabel)",
        "warning: printer own is set up here, and not on the primary",
    ]
    assert other.added("labels") == []


def test_without_cups_the_hook_fails(tmp_path: Path) -> None:
    done = run_hook(hook("cups.py", tmp_path / "p"), SBS_HOOK="update", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "lpstat" in done.stderr


def test_printers_follow_through_a_pair(machines: tuple[Cups, Cups], tmp_path: Path) -> None:
    """R25: and the administrator finds in the status what was left out."""
    one, other = machines
    one.add("office", "ipp://192.0.2.8/ipp/print")
    one.add("usb", "usb://Maker/Model")
    with pair_in(tmp_path) as pair:
        for node, cups in zip(pair.nodes, machines, strict=True):
            argv = hook("cups.py", node.folder / "printers.json")
            node.configure({"hooks": {"update": [argv], "apply": [argv]}})
            words = [f"{key}={value}" for key, value in cups.environment.items()]
            node.prefix = ("env", *words)
        alpha, _ = pair.start()
        wait_until(lambda: other.added("office"), "the printer is set up")

        def problems() -> Any:
            return alpha.status()["problems"]

        wait_until(problems, "the other one is listed")
        assert problems()[0].endswith("printer usb is attached to this machine (usb://Maker/Model)")
