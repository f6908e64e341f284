"""What is found out about this machine; the programs that tell it are played."""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
from pathlib import Path

import pytest

from sbs.config import Config, parse
from sbs.core.address import Address
from sbs.runtime.probing import premises
from sbs.runtime.probing.checks import Result
from sbs.runtime.probing.premises import findings, leads_here, result_of


def config_of(text: str = "", listen: str = "127.0.0.1:4445") -> Config:
    node = f'[node]\npeer = "127.0.0.1:4446"\nlisten = "{listen}"\nstate_dir = "/s"\n'
    insecure = "[tls]\ninsecure = true\n"
    return parse(f"{node}{insecure}{text}", "/etc/sbs.toml")


def found(config: Config, name: str) -> tuple[Result, str]:
    return next(result_of(fact.value) for fact in findings(config) if fact.name == name)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on PATH, and nothing else."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def play(programs: Path, name: str, printed: str, code: int = 0, complaint: str = "") -> None:
    path = programs / name
    path.write_text(f"#!/bin/sh\nprintf '{printed}'\nprintf '{complaint}' >&2\nexit {code}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("entry", "result", "says"),
    [
        ({"local": "192.0.2.1"}, Result.PASS, "192.0.2.1 is fixed"),
        (
            {"local": "192.0.2.1", "dynamic": True, "valid_life_time": 3000},
            Result.WARN,
            "192.0.2.1 was assigned to this machine for 3000 s more",
        ),
        (None, Result.WARN, "whether 192.0.2.1 is fixed cannot be told"),
    ],
)
def test_address_that_was_assigned_is_a_warning(
    entry: dict[str, object] | None, result: Result, says: str, programs: Path
) -> None:
    """R64: fixed addresses; the form is that of iproute2."""
    listed = [{}, {"ifname": "eth0", "addr_info": [entry]}] if entry else []
    play(programs, "ip", json.dumps(listed))
    assert found(config_of(listen="192.0.2.1:4445"), "machine.address") == (result, says)


def test_without_iproute_nothing_is_claimed(programs: Path) -> None:
    assert found(config_of(listen="192.0.2.1"), "machine.address")[0] is Result.WARN
    play(programs, "ip", "[]", code=1)
    assert found(config_of(listen="192.0.2.1"), "machine.address")[0] is Result.WARN


def test_wildcard_is_the_address_towards_the_peer() -> None:
    """R64: here it is the loopback interface."""
    result, text = found(config_of(listen="0.0.0.0:4445"), "machine.address")
    assert (result, text) == (Result.PASS, "127.0.0.1 is this machine's alone")


def test_name_service_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """R64: the other rows are told all the same."""
    over = threading.Event()
    monkeypatch.setattr(premises, "NAME_BOUND_S", 0.05)
    monkeypatch.setattr(socket, "getfqdn", lambda: str(over.wait(30)))
    result, text = found(config_of(), "machine.domain")
    over.set()
    assert result is Result.WARN
    assert "did not answer" in text


UNITS = '[services]\nadapter = "{}"\n[[services.unit]]\nname = "web"\n'


def test_start_type_depends_on_the_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """R30, R64."""
    name = "machine.start-type"
    assert found(config_of(), name) == (Result.PASS, "no services")
    process = UNITS.format("process") + 'command = ["x"]\n'
    assert found(config_of(process), name)[0] is Result.PASS
    windows = found(config_of(UNITS.format("windows")), name)
    assert windows == (Result.PASS, "SBS sets it to manual whenever it starts")
    commands = UNITS.format("command") + 'start = ["x"]\nstop = ["x"]\nstatus = ["x"]\n'
    assert found(config_of(commands), name) == (
        Result.WARN,
        "what starts the services of the adapter 'command' is not known",
    )


@pytest.mark.parametrize(
    ("printed", "code", "complaint", "result", "says"),
    [
        ("", 1, "", Result.PASS, "SBS alone starts the services"),
        ("web.service enabled enabled", 0, "", Result.FAIL, "starts with the machine: web.service"),
        ("", 1, "Failed to connect to bus", Result.WARN, "systemctl does not answer"),
        ("", 4, "", Result.WARN, "systemctl does not answer"),
    ],
)
def test_units_that_are_enabled_fail(
    printed: str,
    code: int,
    complaint: str,
    result: Result,
    says: str,
    programs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R30, R64."""
    info = programs / "units-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: units\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sbs.services]\nsystemd = units:open\n")
    monkeypatch.syspath_prepend(programs)
    play(programs, "systemctl", printed, code, complaint)
    config = config_of(UNITS.format("systemd"))
    assert found(config, "machine.start-type") == (result, says)


def test_account_and_directory_that_are_there_pass(tmp_path: Path) -> None:
    """R64."""
    config = config_of(
        f'[requirements]\ninstall_path = "{tmp_path}"\naccount = "{getpass.getuser()}"\n'
    )
    assert found(config, "machine.install-path") == (Result.PASS, f"{tmp_path} is there")
    result, text = found(config, "machine.account")
    assert (result, text.endswith(f"number {os.getuid()}")) == (Result.PASS, True)


def test_folder_on_a_disk_of_this_machine_is_not_shared(tmp_path: Path) -> None:
    """R64: shared capture folder."""
    result, text = found(
        config_of(f'[requirements]\ncapture_folder = "{tmp_path}"\n'), "machine.capture-folder"
    )
    assert result is Result.WARN
    assert text.startswith(f"{tmp_path} lies on this machine's own disk (")


def test_the_innermost_mount_counts(tmp_path: Path) -> None:
    """R64: the table is that of proc(5), with its escapes."""
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "30 22 0:40 / /srv/in\\040put rw shared:1 - nfs4 server:/export rw,vers=4.2\n"
        "31 22 0:41 / /srv rw - xfs /dev/sdb rw\n"
    )
    assert premises._mount_of("/srv/in put/x", str(table)) == ("nfs4", "server:/export")
    assert premises._mount_of("/srv/in putx", str(table)) == ("xfs", "/dev/sdb")
    assert premises._mount_of("/etc", str(table)) == ("ext4", "/dev/sda1")
    assert premises._mount_of("/etc", str(tmp_path / "none")) == ("", "")


def test_shared_folder_is_named_by_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R64: both nodes find the same text, whatever they call the folder."""
    monkeypatch.setattr(premises, "_mount_of", lambda _path: ("nfs4", "server:/export"))
    config = config_of(f'[requirements]\ncapture_folder = "{tmp_path}"\n')
    inode = tmp_path.stat().st_ino
    assert found(config, "machine.capture-folder") == (
        Result.PASS,
        f"nfs4 server:/export, file {inode}",
    )


def test_findings_are_text_that_travels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adversarial 10: whatever a machine has, a hello can carry it."""
    monkeypatch.setattr(socket, "getfqdn", lambda: "a.b\udcff" + "c" * 5000)
    for fact in findings(config_of()):
        assert len(fact.value.encode()) <= 2000


@pytest.mark.parametrize(
    ("peer", "listen", "expected"),
    [
        ("127.0.0.1:4445", "127.0.0.1:4445", True),
        ("localhost:4445", "0.0.0.0:4445", True),
        ("127.0.0.1:4446", "127.0.0.1:0", True),
        ("127.0.0.1:4446", "127.0.0.1:4445", False),
        ("192.0.2.1:4445", "0.0.0.0:4445", False),
        ("nosuch.invalid:4445", "0.0.0.0:4445", None),
    ],
)
def test_whose_an_address_is(peer: str, listen: str, expected: bool | None) -> None:
    """R64: each knows its peer."""
    assert leads_here(Address.parse(peer), Address.parse(listen)) is expected
