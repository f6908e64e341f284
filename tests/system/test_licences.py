"""Licences of real nodes: what they let start, and what keeps SBS from running (R40 to R44)."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sbs.adapters.licences import form
from sbs.core.licence import Kind
from sbs.testing.licences import licence
from tests.support import wait_until
from tests.system.nodes import Node, Pair

VENDOR = Ed25519PrivateKey.generate()


def put(node: Node, kind: Kind, *, days_left: int | None = None, name: str | None = None) -> Path:
    """Put a licence in the place of the node's, by rename."""
    path = node.directory / "licence"
    found = licence(kind, node.name if name is None else name, days_left=days_left)
    beside = path.with_name("licence.new")
    beside.write_bytes(form.sign(found, VENDOR))
    return beside.rename(path)


@pytest.fixture
def licensed(pair: Pair) -> Pair:
    """alpha is the main server, beta the backup."""
    key = form.key_text(VENDOR.public_key())
    for node, kind in zip(pair.nodes, (Kind.FULL, Kind.BACKUP), strict=True):
        path = put(node, kind)
        node.configure({"licence": {"adapter": "file", "path": str(path), "trusted_keys": [key]}})
    return pair


def wait_withheld(node: Node) -> None:
    node.wait_role("primary")
    text = node.wait_alarm("licence")
    assert "no service is started: licence 2026-17 is of the kind backup" in text
    wait_until(lambda: node.status().get("state") == "primary", f"{node.name} leads")
    assert not node.serves
    assert node.status()["services"]["active"] == []


def test_a_takeover_under_backup_outlives_sbs_and_ends_with_sbs_stop(licensed: Pair) -> None:
    """R42, R43"""
    alpha, beta = licensed.start()
    assert alpha.status()["licence"]["kind"] == "full"
    alpha.kill()
    beta.wait_role("primary")
    assert beta.wait_service()["node"] == "beta"
    for _ in range(2):
        beta.kill()  # SBS, and with it its services
        beta.start()
        assert beta.wait_service()["node"] == "beta"
        found = beta.status()["licence"]
        assert (found["kind"], found["granted"], found["refusal"]) == ("backup", True, "")
    assert "in place of a failed primary" in beta.sbs("status").stdout
    beta.kill()
    path = beta.directory / "licence"
    away = path.rename(path.with_name("away"))  # as on a share that is gone
    beta.start()
    assert beta.wait_service()["node"] == "beta"
    assert "the licence is missing" in beta.wait_alarm("licence")
    away.rename(path)
    wait_until(lambda: "licence" not in beta.alarms, "it is found again")
    beta.stop()
    beta.start()
    wait_withheld(beta)


def test_a_direct_start_under_backup_until_a_full_licence_is_put_in_place(licensed: Pair) -> None:
    """R41, R44"""
    beta = licensed.beta
    beta.start()
    wait_withheld(beta)
    shown = beta.sbs("status").stdout
    assert "licence     backup, Example Ltd, serial 2026-17; services are withheld" in shown
    done = beta.sbs("unit", "start", "web")
    assert done.returncode == 4
    assert "let the main server lead, or install a full licence" in done.stderr
    put(beta, Kind.FULL)
    assert beta.wait_service()["node"] == "beta"
    wait_until(lambda: "licence" not in beta.alarms, "nothing is withheld")
    beta.kill()
    beta.start()
    assert beta.wait_service()["node"] == "beta"


def test_a_backup_that_may_not_serve_has_the_main_server_lead(licensed: Pair) -> None:
    """R32, R41: as soon as that is in step; what was withheld is what it starts."""
    alpha, beta = licensed.nodes
    beta.start()
    wait_withheld(beta)
    alpha.start()
    alpha.wait_role("primary")
    licensed.wait_settled(alpha, beta)
    assert alpha.wait_service()["node"] == "alpha"


def test_a_full_licence_exchanges_the_roles_of_a_running_pair(licensed: Pair) -> None:
    """R44: in order; a file of the last moment is there before the services are."""
    alpha, beta = licensed.start()
    alpha.wait_service()
    (alpha.folder / "last").write_bytes(b"moment")
    put(beta, Kind.FULL)
    assert beta.wait_service()["node"] == "beta"
    assert (beta.folder / "last").read_bytes() == b"moment"
    licensed.wait_settled(beta, alpha)
    assert not alpha.serves
    assert "beta is a main server by its new licence: handing the role over" in alpha.log_text


def test_an_operators_stop_ends_the_grant(licensed: Pair) -> None:
    """R43: durably when the command returns; a crash does not bring it back."""
    alpha, beta = licensed.start()
    alpha.kill()
    first = beta.wait_service()["pid"]
    assert beta.sbs("unit", "restart", "web").returncode == 0
    assert beta.wait_service()["pid"] != first
    done = beta.sbs("unit", "stop", "web")
    assert done.returncode == 0
    assert "it cannot be started again here" in done.stderr
    assert beta.sbs("unit", "start", "web").returncode == 4
    assert beta.sbs("unit", "restart", "web").returncode == 4
    beta.kill()
    beta.start()
    wait_until(lambda: beta.status().get("state") == "primary", "beta leads")
    done = beta.sbs("unit", "start", "web")
    assert done.returncode == 4
    assert "of the kind backup" in done.stderr
    assert not beta.serves


def test_sbs_run_ends_with_one_line_and_exit_code_4(licensed: Pair) -> None:
    """B40: tampered, foreign, ended, missing; the line names the file and what to do."""
    beta = licensed.beta
    path = put(beta, Kind.BACKUP)
    content = path.read_bytes()
    for data, says in (
        (content.replace(b"backup", b"full"), "was changed after it was signed; copy it again"),
        (put(beta, Kind.BACKUP, name="alpha").read_bytes(), "is for the node 'alpha'"),
        (put(beta, Kind.BACKUP, days_left=0).read_bytes(), "put a new one in its place"),
        (None, "is missing; put it there, or correct licence.path"),
    ):
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        for words in (("run",), ("licence", "verify")):
            done = beta.sbs(*words)
            assert done.returncode == 4, done.stderr
            (line,) = [line for line in done.stderr.splitlines() if "Error:" in line]
            assert line.startswith(f"Error: {path}: the licence ")
            assert says in line
        if data is None:
            path.write_bytes(content)
    beta.start()
    wait_withheld(beta)


def test_the_end_of_a_licence_stops_nothing(licensed: Pair) -> None:
    """B40: it is told ahead, and refuses the next direct start only."""
    alpha = licensed.alpha
    put(alpha, Kind.FULL, days_left=12)
    alpha.start()
    alpha.wait_service()
    assert "ends in 12 days" in alpha.wait_alarm("licence")
    put(alpha, Kind.FULL, days_left=0)
    wait_until(lambda: "ended on" in alpha.alarms["licence"], "it is told")
    assert alpha.serves
    alpha.kill()
    assert alpha.sbs("run").returncode == 4
