"""Which services run where; the hooks around them."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tests.support import free_ports, wait_until
from tests.system.nodes import SERVICE, Node, Pair


def wanted(node: Node) -> list[str]:
    """The services that a takeover by this node starts."""
    return sorted(node.status()["services"]["wanted"])


def wait_wanted(node: Node, names: list[str]) -> None:
    wait_until(lambda: wanted(node) == names, f"{node.name} would start {names}")


def active(node: Node) -> list[str]:
    """The services that are active on this node."""
    return sorted(node.status()["services"]["active"])


def restarted(node: Node, count: int) -> bool:
    """Whether ``web`` was started again so often."""
    return bool(node.status()["services"]["restarts"] == {"web": count})


def add_unit(pair: Pair, name: str) -> None:
    """A second service on both nodes, not enabled."""
    for node, port in zip(pair.nodes, free_ports(2), strict=True):
        command = [sys.executable, "-I", "-S", SERVICE, str(port)]
        unit: dict[str, Any] = {"name": name, "command": command, "enabled": False}
        node.tables["services"]["unit"].append(unit)
        node.configure({})


def test_an_operators_change_reaches_the_secondary_at_once(pair: Pair) -> None:
    """R32: the list does not wait for the period; a takeover starts exactly what it names."""
    pair.configure({"sync": {"period_s": 3600, "watch": False}})
    add_unit(pair, "extra")
    alpha, beta = pair.start()
    wait_until(lambda: active(alpha) == wanted(beta) == ["web"], "the enabled service is known")
    for words, names in (
        (("start", "extra"), ["extra", "web"]),
        (("stop", "web"), ["extra"]),
    ):
        done = alpha.sbs("unit", *words)
        assert done.returncode == 0, done.stderr
        assert active(alpha) == names
        wait_wanted(beta, names)
    alpha.kill()
    beta.wait_role("primary")
    wait_until(lambda: active(beta) == ["extra"], "beta has started what was active")
    assert not beta.serves
    alpha.start()
    pair.wait_settled(beta, alpha)
    beta.stop()
    alpha.wait_role("primary")
    wait_until(lambda: active(alpha) == ["extra"], "alpha has started what was active")


def test_units_are_started_on_the_primary_only(pair: Pair) -> None:
    """R30: the secondary refuses."""
    _, beta = pair.start()
    for word in ("start", "stop"):
        done = beta.sbs("unit", word, "web")
        assert done.returncode == 4
        assert "primary" in done.stderr
    assert not beta.serves


def test_a_crashed_service_counts_as_active(pair: Pair) -> None:
    """R32: it is an alarm on the primary, and a takeover starts it."""
    pair.configure({"services": {"restart_delay_s": 60}})
    alpha, beta = pair.start()
    os.kill(alpha.wait_service()["pid"], signal.SIGKILL)
    assert "web" in alpha.wait_alarm("service-down")
    assert active(alpha) == wanted(beta) == ["web"]
    alpha.stop()
    beta.wait_role("primary")
    assert beta.wait_service()["node"] == "beta"


def test_a_crashed_service_is_started_again(pair: Pair) -> None:
    """B32: with the token of the same primacy; nothing else happens."""
    pair.configure({"services": {"restart_delay_s": 0.1}})
    alpha, _ = pair.start()
    first = alpha.wait_service()
    for count in (1, 2):
        os.kill(alpha.wait_service()["pid"], signal.SIGKILL)
        wait_until(partial(restarted, alpha, count), "it is started again")
        again = alpha.wait_service()
        assert again["epoch"] == first["epoch"]
        assert again["pid"] != first["pid"]
    alpha.wait_no_alarm()
    assert "started again: web 2" in alpha.sbs("status").stdout


def test_a_service_that_cannot_run_here_moves_the_role(pair: Pair) -> None:
    """B32: the other node starts it; the old primary follows, with its data."""
    alpha, beta = pair.alpha, pair.beta
    pair.configure(
        {"services": {"restart_limit": 2, "restart_delay_s": 0.1, "on_failure": "handover"}}
    )
    fault = alpha.directory / "fault"
    unit = alpha.tables["services"]["unit"][0]
    unit["command"] = [
        "sh",
        "-c",
        f"test -e '{fault}' && exit 3; exec \"$@\"",
        "sh",
        *unit["command"],
    ]
    alpha.configure({})
    pair.start()
    fault.touch()
    (alpha.folder / "last").write_text("written just before")
    os.kill(alpha.wait_service()["pid"], signal.SIGKILL)
    beta.wait_role("primary")
    assert beta.wait_service()["node"] == "beta"
    assert (beta.folder / "last").read_text() == "written just before"
    pair.wait_settled(beta, alpha)
    assert "web cannot run here: handing the role over" in alpha.log_text
    assert "started again in 0.2 s" in alpha.log_text


def test_update_and_apply_scripts(pair: Pair) -> None:
    """R25: what one exports goes with the same update; the other runs when it is applied."""
    alpha, beta = pair.alpha, pair.beta
    export = alpha.folder / "export"
    source = alpha.directory / "registry"
    source.write_text("one")
    alpha.configure(
        {"hooks": {"update": [["sh", "-c", f"cat '{source}' > '{export}' && echo '{export}'"]]}}
    )
    imported = beta.directory / "imported"
    script = f"echo \"$SBS_GENERATION $(cat '{beta.folder}/export')\" >> '{imported}'"
    beta.configure({"hooks": {"apply": [["sh", "-c", script]]}})
    pair.start()
    wait_until(lambda: imported.exists() and imported.read_text(), "the first import")
    source.write_text("two")
    done = alpha.sbs("sync")
    assert done.returncode == 0, done.stderr
    generation = beta.status()["generation"]
    wait_until(lambda: f"{generation} two" in lines_of(imported), "the import of the second")
    assert lines_of(imported)[0].endswith(" one")


def test_a_failing_update_script_is_an_alarm(pair: Pair) -> None:
    """R25: the folders are replicated all the same; the alarm ends with the fault."""
    alpha, beta = pair.alpha, pair.beta
    fault = alpha.directory / "fault"
    fault.touch()
    script = f"test ! -e '{fault}'"
    alpha.configure({"hooks": {"update": [["sh", "-c", script]]}})
    pair.start()
    assert "ended with code 1" in alpha.wait_alarm("update-hook-failed")
    (alpha.folder / "file").write_text("sent")
    beta.wait_file("file", b"sent")
    fault.unlink()
    assert alpha.sbs("sync").returncode == 0
    alpha.wait_no_alarm()


def test_a_failing_update_script_may_hold_updates_back(pair: Pair) -> None:
    """R25: what it exports and the files belong together; a handover waits, too."""
    alpha, beta = pair.alpha, pair.beta
    fault = alpha.directory / "fault"
    hook = ["sh", "-c", f"test ! -e '{fault}' || {{ echo broken >&2; exit 5; }}"]
    alpha.configure({"hooks": {"update": [hook], "on_update_failure": "hold"}})
    pair.start()
    fault.touch()
    done = alpha.sbs("sync")
    assert done.returncode == 1
    assert "the update waits for its scripts" in done.stderr
    (alpha.folder / "file").write_text("waits")
    assert "ended with code 5" in alpha.wait_alarm("update-failed")
    done = alpha.sbs("switchover")
    assert done.returncode == 4
    assert "the update waits for its scripts" in done.stderr
    assert alpha.serves, "refused before anything is stopped"
    assert "stopping the services" not in alpha.log_text
    assert not (beta.folder / "file").exists()
    alpha.wait_role("primary")
    fault.unlink()
    pair.wait_settled(alpha, beta)
    assert alpha.sbs("sync").returncode == 0
    beta.wait_file("file", b"waits")
    alpha.wait_no_alarm()


def test_what_a_script_cannot_carry_over_is_listed(pair: Pair) -> None:
    """R25: in the status of the node on which the script ran."""
    alpha, beta = pair.alpha, pair.beta
    alpha.configure({"hooks": {"update": [["echo", "warning: printer laser is local"]]}})
    beta.configure({"hooks": {"apply": [["echo", "warning: printer ink has no driver"]]}})
    pair.start()
    for node, text in ((alpha, "printer laser is local"), (beta, "printer ink has no driver")):
        wait_until(partial(is_listed, node, text), f"{node.name} lists it")
        assert text in node.sbs("status").stdout


def is_listed(node: Node, text: str) -> bool:
    """Whether the status has a problem that ends so."""
    return any(line.endswith(text) for line in node.status()["problems"])


def test_transition_hooks_are_told_each_role(pair: Pair) -> None:
    """R7, R8: role, epoch and reason in the environment, in the order in which they came."""
    for node in pair.nodes:
        script = f"echo \"$SBS_ROLE $SBS_EPOCH $SBS_REASON\" >> '{node.directory}/roles'"
        node.configure({"hooks": {"transition": [["sh", "-c", script]]}})
    alpha, beta = pair.start()
    epoch = alpha.wait_service()["epoch"]
    alpha.stop()
    beta.wait_role("primary")
    token = beta.wait_service()["epoch"]
    beta.stop()
    told = {node.name: lines_of(node.directory / "roles") for node in pair.nodes}
    assert [line.split()[0] for line in told["alpha"]] == [
        "probing",
        "primary",
        "fenced",
        "stopped",
    ]
    assert told["alpha"][1].startswith(f"primary {epoch} ")
    assert [line.split()[0] for line in told["beta"]] == [
        "probing",
        "secondary",
        "primary",
        "stopped",
    ]
    assert told["beta"][2].startswith(f"primary {token} ")
    assert "handed the role over" in told["beta"][2]


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
