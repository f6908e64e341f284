"""B60, B62: what ``sbs init`` finds out of a node that has never run."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sbs.config import Config, parse
from sbs.core.address import Address
from sbs.runtime.probing.beforehand import answers, look_beforehand
from sbs.runtime.probing.checks import Check, Result
from tests.support import free_ports


def config_of(directory: Path, peer: str, listen: str = "127.0.0.1:0", rest: str = "") -> Config:
    node = f'[node]\npeer = "{peer}"\nlisten = "{listen}"\nstate_dir = "state"\n'
    text = f"{node}{rest}[tls]\ninsecure = true\n"
    return parse(text, str(directory / "sbs.toml"))


async def rows(config: Config) -> dict[str, Check]:
    return {check.name: check for check in await look_beforehand(config)}


@contextmanager
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_a_machine_that_is_fit_passes_in_every_row(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (port,) = free_ports(1)
    folder = '[[folders]]\nname = "data"\npath = "data"\n'
    found = await rows(config_of(tmp_path, f"127.0.0.1:{port}", rest=folder))
    found.pop("clock", None)  # of this machine
    order = ["name", "route", "tcp", "node.listen", "machine.address", "node.state_dir"]
    assert list(found) == [*order, "folder data"]
    assert {check.result for check in found.values()} == {Result.PASS}
    assert f"nothing listens at 127.0.0.1:{port} yet" in found["tcp"].detail
    assert not any(check.hint for check in found.values())


async def test_what_listens_at_the_peer_is_told(tmp_path: Path) -> None:
    with listening() as peer:
        found = await rows(config_of(tmp_path, peer))
        assert found["tcp"].detail == f"something listens at {peer}"
        assert await answers(Address.parse(peer), 5.0)
    assert not await answers(Address.parse(peer), 5.0)


async def test_without_a_way_nobody_is_called(tmp_path: Path) -> None:
    found = await rows(config_of(tmp_path, "no-such-host.invalid"))
    assert found["name"].result is Result.FAIL
    assert not {"route", "tcp"} & set(found)
    assert "node.listen" in found


async def test_a_port_that_is_held_and_an_address_of_others_are_told(tmp_path: Path) -> None:
    with listening() as held:
        for listen in (held, "192.0.2.1:4445"):
            check = (await rows(config_of(tmp_path, "127.0.0.1:1", listen)))["node.listen"]
            assert check.result is Result.WARN
            assert listen in check.detail
            assert check.hint


@pytest.mark.parametrize("case", ["a file", "a file above", "everybody's"])
async def test_a_state_directory_that_cannot_be_used_is_told(tmp_path: Path, case: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    if case == "a file":
        (place / "state").touch()
    elif case == "a file above":
        place.rmdir()
        place.touch()
    else:
        os.chmod(place, 0o777)
    config = config_of(place, "127.0.0.1:1")
    check = (await rows(config))["node.state_dir"]
    assert check.result is not Result.PASS
    assert str(place) in check.detail
    assert "node.state_dir" in check.hint


async def test_a_folder_that_is_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    folder = '[[folders]]\nname = "data"\npath = "data"\n'
    found = await rows(config_of(tmp_path, "127.0.0.1:1", rest=folder))
    assert found["folder data"].result is Result.FAIL


@pytest.mark.parametrize(
    ("said", "result"), [("yes", Result.PASS), ("no", Result.WARN), ("", None), (None, None)]
)
async def test_the_clock_is_what_systemd_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, result: Result | None
) -> None:
    program = tmp_path / "timedatectl"
    if said is not None:
        program.write_text(f"#!/bin/sh\necho {said}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await rows(config_of(tmp_path, "127.0.0.1:1"))
    assert (found["clock"].result if "clock" in found else None) is result
