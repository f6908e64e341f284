"""Commands against real nodes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sbs.errors import NotRunningError, RefusedError, SbsError
from sbs.runtime.operating import client
from tests.support import ROOT, SBS, NodeProcess, Pair, is_alive, wait_until

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d (INFO   |WARNING) \S.*")


def children(pid: int) -> list[int]:
    """The processes below ``pid``, whichever of its threads started them."""
    texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    found = [int(word) for text in texts for word in text.split()]
    return found + [inner for child in found for inner in children(child)]


def assert_nothing_left(node: NodeProcess, pids: list[int]) -> None:
    wait_until(lambda: not any(map(is_alive, pids)), "the processes of the node have ended")
    assert sorted(os.listdir(node.state_dir)) == [
        "index.db",
        "journal",
        "lock",
        "node.json",
        "roles.json",
    ]
    assert os.listdir(node.folder) == []


def test_a_pair_is_shown_stopped_and_swapped_by_commands(pair: Pair) -> None:
    """R8, B6, B61."""
    alpha, beta = pair.alpha, pair.beta
    pair.start()

    (alpha.folder / "settings").write_text("blue")
    synced = alpha.sbs("sync")
    assert (synced.returncode, synced.stderr) == (0, "")
    assert (beta.folder / "settings").read_text() == "blue"
    refused = beta.sbs("sync")
    assert refused.returncode == 4
    assert refused.stderr == "Error: beta is secondary; run this on the primary\n"

    shown = alpha.sbs("status")
    assert shown.returncode == 0
    assert shown.stdout.startswith("PRIMARY\n  node        alpha (symmetric)\n")
    assert "  services    web\n" in shown.stdout
    as_json = json.loads(beta.sbs("status", "--json").stdout)
    assert (as_json["role"], as_json["peer"]["role"]) == ("secondary", "primary")

    pattern = (
        r"the roles are exchanged: beta is primary; no service ran for \d+\.\d{3} s\n"
        r"whether the services stay up is seen only there: sbs status, on beta\n"
    )
    assert re.fullmatch(pattern, alpha.sbs("switchover").stdout)
    assert [status["role"] for status in pair.status()] == ["secondary", "primary"]

    stopped = beta.sbs("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    assert beta.wait() == 0
    alpha.wait_role("primary")
    wait_until(lambda: alpha.status()["services"]["active"] == ["web"], "its services run")
    assert beta.sbs("status").returncode == 3
    lone = alpha.sbs("stop")
    assert (lone.returncode, lone.stdout) == (0, "stopped\n")
    assert "the role was not handed over: no secondary is connected. No service" in lone.stderr
    assert alpha.wait() == 0
    alpha.start()
    alpha.wait_role("primary")
    assert json.loads(alpha.sbs("stop", "--json").stdout) == {
        "not_handed_over": "no secondary is connected"
    }


def test_an_operator_stops_and_starts_one_service(pair: Pair) -> None:
    """R32: what the operator stopped is not active, and no takeover starts it."""
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    wait_until(lambda: pair.alpha.status()["services"]["active"] == ["web"], "web is active")
    assert pair.alpha.sbs("unit", "stop", "web").stdout == "web is stopped\n"
    wait_until(lambda: pair.alpha.status()["services"]["wanted"] == [], "web is not wanted")
    assert pair.alpha.sbs("unit", "start", "web").stdout == "web is started\n"
    wait_until(lambda: pair.alpha.status()["services"]["wanted"] == ["web"], "web is wanted")

    unknown = pair.alpha.sbs("unit", "start", "w\x1beb")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("Error: ")
    assert "\x1b" not in unknown.stderr


def test_what_a_lone_primary_cannot_do_is_refused_with_the_reason(pair: Pair) -> None:
    """B6: exit code 4, one line that says what to do, and the node serves on."""
    alpha = pair.alpha
    alpha.start()
    alpha.wait_role("primary")
    wait_until(lambda: alpha.status()["state"] == "primary", "it serves")
    lonely = "Error: alpha has no secondary: start the other node, see sbs probe\n"
    leads = "Error: alpha is primary; there is nothing to take over\n"
    for words, text in (
        (("switchover",), lonely),
        (("switchover", "--dry-run"), lonely),
        (("drill",), lonely),
        (("takeover",), leads),
        (("takeover", "--force"), leads),
    ):
        done = alpha.sbs(*words)
        assert (done.returncode, done.stdout, done.stderr) == (4, "", text)
    assert alpha.status()["state"] == "primary"


def test_a_pause_says_which_nodes_know_of_it(pair: Pair) -> None:
    """B6: one that is not connected is told when the two meet."""
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    here = "here (the other node is not connected, and learns it when the two meet)"
    paused = pair.alpha.sbs("pause")
    assert paused.returncode == 0
    assert paused.stdout == f"automatic takeovers are suspended {here}, until sbs resume\n"
    assert pair.alpha.status()["paused"]
    pair.beta.start()
    pair.beta.wait_role("secondary")
    wait_until(lambda: pair.beta.status()["paused"], "it is told")
    resumed = pair.beta.sbs("resume")
    assert resumed.returncode == 0
    assert resumed.stdout == "automatic takeovers are allowed again on both nodes\n"
    wait_until(lambda: not pair.alpha.status()["paused"], "it is told")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_in_order_and_leaves_nothing(pair: Pair, number: signal.Signals) -> None:
    """R8: the secondary takes over at once, it does not wait for silence."""
    pair.start()
    wait_until(lambda: pair.alpha.status()["services"]["active"], "its service runs")
    assert pair.alpha.process is not None
    pids = [pair.alpha.process.pid, *children(pair.alpha.process.pid)]
    assert len(pids) > 1
    pair.alpha.signal(number)
    assert pair.alpha.wait() == 0
    pair.beta.wait_role("primary")
    assert "stopping in order" in pair.alpha.log.read_text()
    assert pair.beta.status()["epoch"] == 2
    assert_nothing_left(pair.alpha, pids)


def test_a_second_signal_ends_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    """B31: no service outlives the node."""
    stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
    settings = {"failover": {"stop_bound_s": 600.0, "probe_timeout_s": 0.5}}
    with Pair(tmp_path, settings=settings, units={"stubborn": stubborn}) as pair:
        alpha = pair.alpha
        alpha.start()
        alpha.wait_role("primary")
        wait_until(lambda: alpha.status()["services"]["active"], "its service runs")
        assert alpha.process is not None
        pids = [alpha.process.pid, *children(alpha.process.pid)]
        alpha.signal(signal.SIGTERM)
        wait_until(lambda: "stopping in order" in alpha.log.read_text(), "the first is obeyed")
        alpha.signal(signal.SIGINT)
        assert alpha.wait() == 0
        assert "SIGINT: ending at once" in alpha.log.read_text()
        assert_nothing_left(alpha, pids)


def test_a_signal_before_the_node_serves_ends_it_at_once(pair: Pair) -> None:
    """While its port is taken it waits for it; there is nothing to hand over yet."""
    host, _, port = pair.alpha.address.partition(":")
    with socket.create_server((host, int(port))):
        pair.alpha.start()
        wait_until(lambda: "is in use" in pair.alpha.log.read_text(), "it waits for its port")
        pair.alpha.signal(signal.SIGTERM)
        assert pair.alpha.wait() == 0
    log = pair.alpha.log.read_text()
    assert log.endswith("WARNING SIGTERM: ending at once\n")
    assert " serves " not in log


def test_a_start_that_fails_in_a_task_is_one_error_without_a_traceback(pair: Pair) -> None:
    (pair.alpha.state_dir / "control.sock" / "inside").mkdir(parents=True)
    done = pair.alpha.sbs("run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: control socket ")
    assert "Traceback" not in done.stderr


def test_the_log_is_one_line_an_event(pair: Pair) -> None:
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    pair.alpha.stop()
    lines = pair.alpha.log.read_text().splitlines()
    assert len(lines) > 3
    assert [line for line in lines if not LINE.fullmatch(line)] == []


@pytest.mark.parametrize("form", ["", "json", "text"])
def test_the_log_is_json_where_no_person_reads_it(
    pair: Pair, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the environment says otherwise; nothing else is written to standard error."""
    monkeypatch.setenv("SBS_LOG_FORMAT", form)
    pair.alpha.run = ("run",)
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    pair.alpha.stop()
    lines = pair.alpha.log.read_text().splitlines()
    if form == "text":
        assert [line for line in lines if not LINE.fullmatch(line)] == []
        return
    found = [json.loads(line) for line in lines]
    assert {"node-serving", "role-changed", "stop-asked"} <= {line["event"] for line in found}
    (serving,) = (line for line in found if line["event"] == "node-serving")
    assert serving["fields"] == {"node": "alpha", "address": pair.alpha.address}


def test_the_log_level_silences_what_is_below(tmp_path: Path) -> None:
    alpha = Pair(tmp_path).alpha
    with subprocess.Popen(
        [*SBS, "run", "-c", str(alpha.config), "--log-level", "error"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            alpha.wait_role("primary")
            client.stop(str(alpha.state_dir))
            assert process.stderr is not None
            assert process.stderr.read() == b""
            assert process.wait(20) == 0
        finally:
            process.kill()


def test_a_second_node_with_the_same_state_fails_and_harms_nothing(pair: Pair) -> None:
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    second = pair.alpha.sbs("run")
    assert second.returncode == 1
    assert "Traceback" not in second.stderr
    assert f"Error: state_dir {pair.alpha.state_dir} is in use: " in second.stderr
    assert pair.alpha.status()["role"] == "primary"


def test_two_nodes_with_the_same_only_mode_do_not_run(tmp_path: Path) -> None:
    """R6: the later one is refused, exit code 4."""
    settings: dict[str, dict[str, object]] = {
        "node": {"mode": "primary-only"},
        "failover": {"probe_timeout_s": 2.0},
    }
    with Pair(tmp_path, settings=settings) as pair:
        pair.alpha.start()
        pair.alpha.wait_role("primary")
        second = pair.beta.sbs("run")
        assert second.returncode == 4
        assert "Traceback" not in second.stderr
        assert "primary-only" in second.stderr.splitlines()[-1]


def test_a_node_is_found_and_stopped_though_its_file_was_broken_since(pair: Pair) -> None:
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    text = pair.alpha.config.read_text()
    pair.alpha.config.write_text(text + "\n[nonsense]\n")
    assert pair.alpha.sbs("status").returncode == 0
    pair.alpha.stop()
    assert pair.alpha.sbs("status").returncode == 78


def test_a_watch_shows_the_role_again_and_again_until_it_is_interrupted(pair: Pair) -> None:
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    with subprocess.Popen(
        [*SBS, "status", "--json", "--watch", "-c", str(pair.alpha.config)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["role"] == "primary"
            pair.alpha.stop()
            found: dict[str, Any] = {"role": "primary"}
            while found["role"] == "primary":
                found = json.loads(process.stdout.readline())
            assert found["role"] == "stopped"
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stderr is not None
            assert process.stderr.read() == b""
        finally:
            process.kill()


def test_the_client_raises_what_the_node_says(pair: Pair) -> None:
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    state_dir = str(pair.alpha.state_dir)
    with pytest.raises(RefusedError):
        client.ask(state_dir, "switchover")
    with pytest.raises(SbsError, match=r"unknown command .fly."):
        client.ask(state_dir, "fly")


def test_a_node_below_a_path_too_long_for_a_socket_is_reached(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with Pair(deep) as pair:
        pair.alpha.start()
        pair.alpha.wait_role("primary")
        assert pair.alpha.sbs("status").returncode == 0
        pair.alpha.stop()


def test_a_node_that_does_not_answer_is_not_said_to_be_stopped(pair: Pair) -> None:
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    pair.alpha.signal(signal.SIGSTOP)
    with pytest.raises(NotRunningError, match=r"did not answer in 0\.2 s"):
        client.ask(str(pair.alpha.state_dir), "status", timeout_s=0.2)
