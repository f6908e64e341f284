"""An adapter of another package, built and installed as its users do it (B30)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, free_ports, wait_until
from tests.system.nodes import pair_in

PROJECT = ROOT / "examples" / "third_party_adapter"

BASE_PYTHON = os.path.realpath(sys.executable)

CHECK = """
import sys, trio
from sbs import Unit
from sbs.adapters import services
from sbs.testing.services import check_service_controller

async def crash(controller, name):
    controller.beacons[name].scope.cancel()
    await trio.lowlevel.checkpoint()

async def read_environment(controller, name):
    return controller.beacons[name].environment

unit = Unit(name="web", command=(f"127.0.0.1:{sys.argv[1]}",))
trio.run(check_service_controller, services.load("beacon"), unit, crash, read_environment)
print("keeps its promises")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with nothing but the package, from its wheel; no network is needed."""
    directory = tmp_path_factory.mktemp("beacon")
    wheels, site = directory / "wheels", directory / "site"
    # The environment of the tests may have no pip of its own; the Python that made it has one.
    pip = [BASE_PYTHON, "-m", "pip", "--python", sys.executable, "--disable-pip-version-check"]
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), str(PROJECT)])
    (wheel,) = wheels.glob("sbs_beacon-1.0-*.whl")
    run([*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)])
    return site


def run(command: list[str], site: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **({"PYTHONPATH": str(site)} if site else {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def answer(port: int) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as sock:
            return sock.makefile("r").read().strip()
    except OSError:
        return ""


def test_adapter_is_listed(site: Path) -> None:
    """B30: ``sbs adapters`` says which package brings it."""
    listed = run([sys.executable, "-m", "sbs.cli", "adapters"], site)
    assert "services  beacon  sbs_beacon:open_controller  (sbs-beacon 1.0)" in listed


def test_adapter_passes_the_conformance_check(site: Path) -> None:
    """B30."""
    (port,) = free_ports(1)
    done = run([sys.executable, "-c", CHECK, str(port)], site)
    assert done == "keeps its promises\n"


def test_adapter_runs_in_a_pair(site: Path, tmp_path: Path) -> None:
    """B30, R7: its service moves with the role, and gets the token of each primacy."""
    ports = free_ports(2)
    with pair_in(tmp_path) as pair:
        for node, port in zip(pair.nodes, ports, strict=True):
            unit = {"name": "web", "command": [f"127.0.0.1:{port}"]}
            node.configure({"services": {"adapter": "beacon", "unit": [unit]}})
            node.prefix = ("env", f"PYTHONPATH={site}")
        alpha, beta = pair.start()
        wait_until(lambda: answer(ports[0]), "the beacon of alpha")
        name, epoch, unit_name = answer(ports[0]).split()
        assert (name, unit_name) == ("alpha", "web")
        assert not answer(ports[1])
        alpha.kill()
        beta.wait_role("primary")
        wait_until(lambda: answer(ports[1]), "the beacon of beta")
        name, later, _ = answer(ports[1]).split()
        assert name == "beta"
        assert int(later) > int(epoch)
        assert not answer(ports[0])
