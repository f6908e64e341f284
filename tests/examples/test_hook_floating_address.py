"""Two hosts and a client on one network, as network namespaces; needs root."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.examples.hooks import hook, lines_of, run_hook
from tests.support import wait_until
from tests.system.netns import Lab, ip, lab

ADDRESS = "10.99.9.9"
FLOATING = f"{ADDRESS}/24"
CLIENT = "10.99.9.1/24"


@pytest.fixture
def network() -> Iterator[Lab]:
    """Hosts ``a`` and ``b`` behind a switch at the client, ``w``."""
    with lab() as made:
        client = made.namespace("w")
        ip("-n", client, "link", "add", "switch", "type", "bridge")
        for end in ("to-a", "to-b"):
            ip("-n", client, "link", "set", end, "master", "switch")
        ip("-n", client, "addr", "add", CLIENT, "dev", "switch")
        ip("-n", client, "link", "set", "switch", "up")
        yield made


def tell(network: Lab, host: str, role: str) -> None:
    """Run the hook on a host, as at a change of its role."""
    argv = ["ip", "netns", "exec", network.namespace(host), *hook("floating_address.py")]
    assert lines_of(run_hook([*argv, FLOATING, "to-w"], SBS_ROLE=role)) == []


def hardware(network: Lab, host: str) -> str:
    """The hardware address of a host's card."""
    return str(shown(network, host, "link", "show", "to-w")[0]["address"])


def known(network: Lab) -> str:
    """Where the client sends what is for the floating address."""
    found = shown(network, "w", "neigh", "show", ADDRESS)
    return str(found[0].get("lladdr", "")) if found else ""


def addresses(network: Lab, host: str) -> list[str]:
    (device,) = shown(network, host, "address", "show", "dev", "to-w")
    return [str(entry["local"]) for entry in device["addr_info"]]


def shown(network: Lab, host: str, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["ip", "-json", "-n", network.namespace(host), *words], capture_output=True, check=True
    )
    found: list[dict[str, Any]] = json.loads(done.stdout or b"[]")
    return found


def reaches(network: Lab) -> bool:
    """Whether the client reaches the floating address."""
    code = (
        "import socket, sys\n"
        f"try: socket.create_connection(('{ADDRESS}', 9), timeout=2)\n"
        "except ConnectionRefusedError: sys.exit(0)\n"
        "sys.exit(1)"
    )
    command = ["ip", "netns", "exec", network.namespace("w"), "python3", "-c", code]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_address_moves_with_the_role(network: Lab) -> None:
    """R7: the client sends to the new primary at once, without having to ask."""
    for host in ("a", "b"):
        tell(network, host, "probing")
    tell(network, "a", "primary")
    wait_until(lambda: reaches(network), "the client reaches the address")
    assert known(network) == hardware(network, "a")
    tell(network, "a", "fenced")
    assert ADDRESS not in addresses(network, "a")
    assert not reaches(network)
    tell(network, "b", "primary")
    wait_until(lambda: known(network) == hardware(network, "b"), "the client has been told")
    assert reaches(network)
    tell(network, "b", "primary")  # told twice, after a restart: nothing changes
    assert addresses(network, "b").count(ADDRESS) == 1


def test_a_client_that_still_knows_the_dead_one_is_told(network: Lab) -> None:
    """R7: a host that vanishes takes nothing back; the announcement moves the client's entry."""
    tell(network, "a", "primary")
    wait_until(lambda: reaches(network), "the client reaches the address")
    network.unplug("a")
    assert known(network) == hardware(network, "a")
    tell(network, "b", "primary")
    wait_until(lambda: known(network) == hardware(network, "b"), "the client has been told")
    assert reaches(network)


def test_what_cannot_be_done_is_said(network: Lab) -> None:
    argv = ["ip", "netns", "exec", network.namespace("a"), *hook("floating_address.py")]
    done = run_hook([*argv, FLOATING, "nowhere"], SBS_ROLE="primary")
    assert done.returncode == 1
    assert "10.99.9.9/24 on nowhere" in done.stderr
