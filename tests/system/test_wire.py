"""The bad cable is as bad as it is told to be, and no worse."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.system.netns import Lab, lab
from tests.system.wire import Wire, wire

DATAGRAMS = 400
PORT = 4444
SLACK_S = 0.05
"""A busy machine is late by itself; the most punctual of many is not, by so much."""

RECEIVE = """
import json, socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", int(sys.argv[1])))
print(flush=True)
taken = []
try:
    while True:  # the first one comes when the sender has started, however busy the machine is
        sent_at = float(sock.recv(100))
        taken.append(time.monotonic() - sent_at)
        sock.settimeout(1)
except TimeoutError:
    print(json.dumps(taken))
"""

SEND = """
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[3])):
    sock.sendto(repr(time.monotonic()).encode(), (sys.argv[1], int(sys.argv[2])))
    time.sleep(0.002)
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Lab]:
    with lab() as hosts:
        yield hosts


@pytest.fixture(scope="module")
def cable(hosts: Lab) -> Iterator[Wire]:
    with wire(hosts) as cable:
        yield cable


def delays(hosts: Lab, sender: str, receiver: str) -> list[float]:
    """How long each datagram took that arrived, in seconds, in the order of arrival."""
    inside = {host: ("ip", "netns", "exec", hosts.namespace(host)) for host in (sender, receiver)}
    python = (sys.executable, "-I", "-S", "-c")
    with subprocess.Popen(
        [*inside[receiver], *python, RECEIVE, str(PORT)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        address = hosts.address(receiver, sender)
        sending = [*inside[sender], *python, SEND, address, str(PORT), str(DATAGRAMS)]
        subprocess.run(sending, check=True)
        taken: list[float] = json.loads(process.stdout.read())
    return taken


def test_a_good_cable(hosts: Lab, cable: Wire) -> None:
    """Issue 3, must show 4: nothing is lost, nothing is delayed."""
    cable.change()
    taken = delays(hosts, "a", "b")
    assert len(taken) == DATAGRAMS
    assert min(taken) < SLACK_S


def test_delay_and_jitter(hosts: Lab, cable: Wire) -> None:
    """Issue 3, must show 4: both ways, and each frame by another time."""
    cable.change(delay_s=0.2, jitter_s=0.05)
    for sender, receiver in (("a", "b"), ("b", "a")):
        taken = delays(hosts, sender, receiver)
        assert len(taken) == DATAGRAMS
        assert 0.15 <= min(taken) < 0.15 + SLACK_S
        assert statistics.pstdev(taken) > 0.02  # evenly spread: 0.029


def test_loss_of_one_direction(hosts: Lab, cable: Wire) -> None:
    """Issue 3, must show 4: a tenth of what one host sends."""
    cable.change()
    cable.change(loss=0.1, senders=("a",))
    lost = DATAGRAMS - len(delays(hosts, "a", "b"))
    assert 0.04 * DATAGRAMS < lost < 0.16 * DATAGRAMS  # four standard deviations
    assert len(delays(hosts, "b", "a")) == DATAGRAMS
