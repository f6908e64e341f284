"""B61: HAProxy and Prometheus, as Debian has them, with the files of ``examples/monitoring``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT, free_ports, require, wait_until
from tests.system.nodes import Node, Pair, ask_service, pair_in

EXAMPLES = ROOT / "examples" / "monitoring"

ASK_S = 0.005
"""Between two calls of a client that waits for the services."""


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Pair, tuple[int, int]]]:
    """A pair whose nodes are shown by HTTP, and the two ports."""
    with pair_in(tmp_path) as pair:
        ports = free_ports(2)
        for node, port in zip(pair.nodes, ports, strict=True):
            node.configure({"web": {"listen": f"127.0.0.1:{port}"}})
        pair.start()
        yield pair, (ports[0], ports[1])


@contextmanager
def running(directory: Path, *command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program with its log in ``directory``, until the block is left."""
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def filled(name: str, **values: str) -> str:
    """An example's text with what this machine has; each value must stand in it."""
    text = (EXAMPLES / name).read_text("utf-8")
    for old, new in values.items():
        assert old in text
        text = text.replace(old, new)
    return text


def get(port: int, path: str) -> str:
    """What a page says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def promtool(*words: str | Path, given: str = "", cwd: Path = ROOT) -> None:
    """Run it; it must find nothing."""
    done = subprocess.run(
        ["promtool", *map(str, words)],
        input=given,
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


def service_of(port: int) -> dict[str, Any] | None:
    try:
        return ask_service(port)
    except ConnectionError:
        return None


def _is_steady(front: int, name: str) -> bool:
    """HAProxy knows who serves: before its first checks it takes both for good."""
    found = [service_of(front) for _ in range(10)]
    return all(each is not None and each["node"] == name for each in found)


def watched_gap(front: int, node: Node, change: Any) -> float:
    """Seconds from the last answer before ``change`` took effect to the first of ``node``."""
    last_at = time.monotonic()
    found = service_of(front)
    assert found is not None
    assert found["node"] != node.name
    change()
    give_up_at = time.monotonic() + 20
    while True:
        asked_at = time.monotonic()
        found = service_of(front)
        if found is not None and found["node"] == node.name:
            return time.monotonic() - last_at
        if found is not None:
            last_at = asked_at
        assert asked_at < give_up_at, f"{node.name} is not reached"
        time.sleep(ASK_S)


def test_traffic_follows_the_primary_through_haproxy(
    web: tuple[Pair, tuple[int, int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A takeover and a switchover, seen by a client that knows HAProxy's address alone."""
    require("haproxy")
    pair, (alpha_web, beta_web) = web
    alpha, beta = pair.nodes
    (front,) = free_ports(1)
    directory = tmp_path / "haproxy"
    directory.mkdir()
    config = directory / "haproxy.cfg"
    config.write_text(
        filled(
            "haproxy.cfg",
            **{
                "0.0.0.0:8101": f"127.0.0.1:{front}",
                "192.0.2.1:8101": f"127.0.0.1:{alpha.service}",
                "192.0.2.2:8101": f"127.0.0.1:{beta.service}",
                "4447\n    server beta": f"{alpha_web}\n    server beta",
                "4447\n": f"{beta_web}\n",
            },
        ),
        encoding="utf-8",
    )
    checked = subprocess.run(
        ["haproxy", "-c", "-f", config], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr
    with running(directory, "haproxy", "-db", "-f", config):
        wait_until(lambda: _is_steady(front, "alpha"), "alpha is reached")
        killed_s = watched_gap(front, beta, alpha.kill)
        alpha.start()
        pair.wait_settled(beta, alpha)
        exchanged_s = watched_gap(front, alpha, lambda: beta.sbs("switchover"))
    with capsys.disabled():
        sys.stdout.write(
            f"\nno answer through HAProxy: {killed_s:.2f} s (primary killed), {exchanged_s:.2f} s "
            "(switchover)\n"
        )


def query(port: int, expression: str) -> dict[str, float]:
    """The present value of each instance."""
    words = urllib.parse.urlencode({"query": expression})
    found = json.loads(get(port, f"/api/v1/query?{words}"))["data"]["result"]
    return {each["metric"].get("instance", ""): float(each["value"][1]) for each in found}


def firing(port: int) -> set[str]:
    """The alerts that fire or are about to."""
    found = json.loads(get(port, "/api/v1/alerts"))["data"]["alerts"]
    return {each["labels"]["alertname"] for each in found}


def test_prometheus_scrapes_both_and_sees_a_takeover(
    web: tuple[Pair, tuple[int, int]], tmp_path: Path
) -> None:
    """Its own checker finds nothing in the metrics; its alerts say what happened."""
    require("prometheus", "promtool")
    pair, ports = web
    alpha, beta = (f"127.0.0.1:{port}" for port in ports)
    pair.alpha.folder.joinpath("settings").write_text("blue")
    assert pair.alpha.sbs("sync").returncode == 0
    for port in ports:
        promtool("check", "metrics", given=get(port, "/metrics"))
    directory = tmp_path / "prometheus"
    directory.mkdir()
    values = {"192.0.2.1:4447": alpha, "192.0.2.2:4447": beta, "_interval: 15s": "_interval: 1s"}
    (directory / "prometheus.yml").write_text(filled("prometheus.yml", **values))
    shutil.copy(EXAMPLES / "alerts.yml", directory)
    promtool("check", "config", directory / "prometheus.yml")
    (own,) = free_ports(1)
    with running(
        directory,
        "prometheus",
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{own}",
    ):
        wait_until(lambda: _is_open(own), "Prometheus answers")
        expected = {alpha: 1.0, beta: 0.0}
        wait_until(lambda: query(own, "sbs_serving") == expected, "both are scraped")
        assert query(own, 'up{job="sbs"}') == {alpha: 1.0, beta: 1.0}
        assert query(own, "sbs_last_update_bytes")[alpha] == 4
        pair.alpha.kill()
        expected = {beta: 1.0}
        wait_until(lambda: query(own, "sbs_serving") == expected, "the takeover is seen")
        wait_until(lambda: {"SbsNodeDown", "SbsNoStandby"} <= firing(own), "it is alerted")
        assert not {"SbsBothServe", "SbsServiceNotActive"} & firing(own)


def _is_open(port: int) -> bool:
    try:
        return "Ready" in get(port, "/-/ready")
    except OSError:
        return False


def test_the_rules_are_right_and_say_what_they_should(tmp_path: Path) -> None:
    """promtool runs its own tests of them."""
    require("promtool")
    promtool("check", "rules", EXAMPLES / "alerts.yml")
    for path in (EXAMPLES / "alerts.yml", Path(__file__).with_name("alerts_test.yml")):
        shutil.copy(path, tmp_path)
    promtool("test", "rules", "alerts_test.yml", cwd=tmp_path)
