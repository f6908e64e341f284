"""A pair on two machines with real systemd: SBS is a unit there, and so is the service.

Both share this machine's network, so the nodes are asked and their logs read from here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import NodeProcess, free_ports, wait_until
from tests.systemd.box import Box, shut_down

SERVICE = """
[Service]
ExecStart=sh -c 'trap "" TERM; while true; do sleep 0.1; done'
Restart=always
RestartSec=50ms
[Install]
WantedBy=multi-user.target
"""
"""A service that does not end when it is asked, and that its manager starts again and again."""

SLOW = """
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=true
ExecStop=sleep 2
"""
"""Keeps SBS alive for a while when the machine ends, if it is to end before SBS."""

SETTINGS: Mapping[str, Mapping[str, object]] = {
    "failover": {
        "heartbeat_interval_s": 0.1,
        "down_interval_s": 1.0,
        "probe_timeout_s": 1.0,
        "stop_bound_s": 0.5,
    },
    "services": {"adapter": "systemd"},
}

SBS = (sys.executable, "-m", "sbs.cli")


class Machine:
    """A box with SBS installed in it as a service, and one unit that SBS starts."""

    def __init__(self, box: Box, node: NodeProcess) -> None:
        self.box = box
        self.node = node

    def boot(self) -> None:
        """Boot it, with SBS installed and the service enabled, as it was before there was SBS."""
        box = self.box
        box.up()
        box.unit("web.service", SERVICE)
        box.run("systemctl", "daemon-reload")
        box.run("systemctl", "enable", "web.service")
        self.sbs("service", "install", "-c", str(self.node.config))
        more = f"[Service]\nWatchdogSec=2s\nStandardError=append:{self.node.log}\n"
        box.unit("sbs.service.d/box.conf", more)
        box.run("systemctl", "daemon-reload")

    def sbs(self, *words: str) -> str:
        done = self.box.service(*SBS, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def pid(self, unit: str) -> int:
        """The main process of a unit, as its machine numbers it; 0: none."""
        return int(self.box.show(unit, "MainPID") or "0")

    def signal(self, pid: int, name: str) -> None:
        """Send a signal to one process."""
        self.box.run("kill", "-s", name, str(pid))

    def is_gone(self, pid: int) -> bool:
        """Whether a process has ended."""
        return not self._process(pid).exists()

    def epoch(self) -> int:
        """What the running service has as its token."""
        data = (self._process(self.pid("web.service")) / "environ").read_bytes()
        variables = dict(item.split(b"=", 1) for item in data.split(b"\0") if item)
        return int(variables[b"SBS_EPOCH"])

    def _process(self, pid: int) -> Path:
        return Path(f"/proc/{self.box.pid}/root/proc/{pid}")

    def state(self, unit: str = "web.service") -> str:
        return self.box.show(unit, "ActiveState")


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Machine]]:
    """Two machines; SBS is installed on both, and runs on none."""
    directory = tmp_path_factory.mktemp("pair")
    ports = free_ports(2)
    with ExitStack() as stack:
        found: list[Machine] = []
        for name in ("alpha", "beta"):
            box = stack.enter_context(shut_down(directory / name, own_network=False))
            node = NodeProcess(
                box.shared / name,
                listen=ports[name == "beta"],
                peer=ports[name == "alpha"],
                settings=SETTINGS,
                units={"web": []},
            )
            found.append(Machine(box, node))
            found[-1].boot()
        yield found[0], found[1]


@pytest.fixture
def pair(machines: tuple[Machine, Machine]) -> tuple[Machine, Machine]:
    """The machine that serves, and the one that is in step."""
    for machine in machines:
        if not machine.box.pid:
            machine.boot()
        machine.box.run("systemctl", "start", "sbs")
    roles = {"primary", "secondary"}
    wait_until(lambda: {each.node.status()["role"] for each in machines} == roles, "both decide")
    first, second = sorted(machines, key=lambda each: str(each.node.status()["role"]))
    wait_until(lambda: first.node.status()["in_step"], "the nodes are in step")
    wait_until(lambda: first.state() == "active", "the service runs")
    return first, second


def test_a_killed_primary_loses_its_unit_and_the_other_machine_starts_it(
    pair: tuple[Machine, Machine],
) -> None:
    """B31, R30, R31: within a second; SBS is started again, and follows."""
    alpha, beta = pair
    assert alpha.state() == "active"
    assert beta.state() != "active"
    service, epoch = alpha.pid("web.service"), alpha.epoch()
    alpha.signal(alpha.pid("sbs.service"), "KILL")
    wait_until(lambda: alpha.is_gone(service), "the unit is dead", 1.0)
    beta.node.wait_role("primary")
    wait_until(lambda: beta.state() == "active", "the other machine serves")
    assert beta.epoch() > epoch
    alpha.node.wait_role("secondary")
    assert alpha.state() in ("inactive", "failed")
    for machine in pair:
        assert machine.box.show("web.service", "UnitFileState") == "disabled"
        assert machine.box.show("sbs.service", "UnitFileState") == "disabled"


def test_a_frozen_sbs_is_killed_by_its_watchdog_and_its_unit_with_it(
    pair: tuple[Machine, Machine],
) -> None:
    """R31, B31: it comes back as secondary."""
    alpha, beta = pair
    service, frozen = alpha.pid("web.service"), alpha.pid("sbs.service")
    alpha.signal(frozen, "STOP")
    wait_until(lambda: alpha.is_gone(frozen), "the watchdog has killed it")
    wait_until(lambda: alpha.is_gone(service), "its unit is dead", 1.0)
    beta.node.wait_role("primary")
    alpha.node.wait_role("secondary")
    wait_until(lambda: beta.state() == "active", "the other machine serves")


def test_systemctl_stop_hands_the_role_over_and_uninstall_leaves_nothing(
    pair: tuple[Machine, Machine],
) -> None:
    """R8, R31: and the unit says which role SBS has."""
    alpha, beta = pair
    assert alpha.box.show("sbs.service", "StatusText") == "primary"
    assert beta.box.show("sbs.service", "StatusText") == "secondary"
    alpha.box.run("systemctl", "stop", "sbs")
    beta.node.wait_role("primary")
    wait_until(lambda: beta.state() == "active", "the other machine serves")
    assert alpha.state() in ("inactive", "failed")
    assert alpha.box.show("sbs.service", "Result") == "success"
    assert not alpha.box.run("find", "/run/systemd/system", "-name", "*sbs.conf").stdout
    assert "started at the boot" in alpha.sbs(
        "service", "install", "--automatic", "-c", str(alpha.node.config)
    )
    assert alpha.box.show("sbs.service", "UnitFileState") == "enabled"
    for said in ("stopped and removed", "is not installed"):
        assert said in alpha.sbs("service", "uninstall")
    assert alpha.box.show("sbs.service", "LoadState") == "not-found"
    alpha.sbs("service", "install", "-c", str(alpha.node.config))


def test_processes_of_sbs_die_with_it_under_systemd_too(pair: tuple[Machine, Machine]) -> None:
    """B31, R31: the adapter process has its fencer in SBS's own unit, which lets it work."""
    box = pair[1].box
    listen, peer = free_ports(2)
    node = NodeProcess(
        box.shared / "alone", listen=listen, peer=peer, units={"web": ["sleep", "1000"]}
    )
    pair[1].sbs("service", "install", "--name", "sbs-alone", "-c", str(node.config))
    box.run("systemctl", "start", "sbs-alone")
    node.wait_role("primary")
    wait_until(lambda: node.status()["services"]["active"] == ["web"], "the service runs")
    pids = box.run("pgrep", "-f", "^sleep 1000$").stdout.split()
    assert len(pids) == 1
    first = pair[1].pid("sbs-alone.service")
    pair[1].signal(first, "KILL")
    wait_until(lambda: pair[1].is_gone(int(pids[0])), "the service is dead", 1.0)
    wait_until(lambda: pair[1].pid("sbs-alone.service") not in (0, first), "SBS runs again")
    node.wait_role("primary")
    pair[1].sbs("service", "uninstall", "--name", "sbs-alone")
    assert not box.run("pgrep", "-f", "^sleep 1000$", check=False).stdout


def test_the_end_of_the_machine_is_no_operators_stop_of_the_service(
    pair: tuple[Machine, Machine],
) -> None:
    """R8, R32: systemd stops the unit before SBS, and the other machine starts it all the same."""
    alpha, beta = pair
    alpha.box.unit("sbs.service.d/last.conf", "[Unit]\nBefore=slow.service\n")
    alpha.box.unit("web.service.d/short.conf", "[Service]\nTimeoutStopSec=0.5s\n")
    alpha.box.unit("slow.service", SLOW)
    alpha.box.run("systemctl", "daemon-reload")
    alpha.box.run("systemctl", "start", "slow.service")
    alpha.box.run("systemctl", "--no-block", "poweroff", check=False)
    beta.node.wait_role("primary")
    wait_until(lambda: beta.state() == "active", "the other machine serves")
    assert beta.node.status()["services"]["active"] == ["web"]
    alpha.box.down()
