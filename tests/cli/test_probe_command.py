"""What ``sbs probe`` prints and ends with, against what may listen at an address (B60)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.adapters.tls_rig import Identities
from tests.support import NodeProcess, Pair, answering, free_ports, sbs, wait_until

PROTOCOL = """\
pass  tls: none is needed within this machine
pass  protocol: sbs 0.1.0, version 1
"""

COMPARED = """\
pass  clock: within 1 s of this one
pass  failover.heartbeat_interval_s: 0.1
pass  failover.down_interval_s: 1
pass  failover.partition_policy: availability
pass  failover.stop_bound_s: 5
pass  failover.max_clock_drift: 0.01
pass  witness.adapter: none
pass  witness.pair: empty on both
pass  witness.lease_s: 5
pass  services.adapter: process
pass  services.unit: web
pass  requirements.install_path: empty on both
pass  requirements.account: empty on both
pass  requirements.capture_folder: empty on both
pass  node.peer: the peer calls this node at ADDRESS
pass  machine.address: 127.0.0.1 is this machine's alone, on both
pass  machine.domain: DOMAIN, on both
pass  machine.start-type: the services are processes of SBS, on both
pass  machine.install-path: not set, on both
pass  machine.account: not set, on both
pass  machine.capture-folder: not set, on both
pass  round-trip: N ms
"""


def reached(node: NodeProcess, address: str) -> str:
    return (
        f"pass  config: {node.config}\n"
        "pass  name: 127.0.0.1 is 127.0.0.1\n"
        "pass  route: from 127.0.0.1 to 127.0.0.1\n"
        f"pass  tcp: connected to {address}\n"
    )


def golden(text: str) -> str:
    """The output without what differs from run to run."""
    text = re.sub(r"\d+\.\d+ ms", "N ms", text)
    text = re.sub(r"calls this node at \S+", "calls this node at ADDRESS", text)
    text = re.sub(r"machine.domain: .*, on both", "machine.domain: DOMAIN, on both", text)
    text = re.sub(r"epoch 1\.[01], generation [1-9]", "epoch 1.N, generation N", text)
    return re.sub(r"identity [0-9a-f]{8}", "identity X", text)


def knows_all(node: NodeProcess) -> bool:
    """Whether the peer has looked at its machine, which it does beside its start."""
    return "does not tell" not in node.sbs("probe").stdout


def test_a_pair_probes_each_other_and_itself(pair: Pair) -> None:
    """B60, R64: primary, secondary, itself; a probe changes nothing."""
    pair.start()
    alpha, beta = pair.alpha, pair.beta
    for node in (alpha, beta):
        wait_until(partial(knows_all, node), f"{node.name} is told of the other machine")

    done = alpha.sbs("probe")
    assert golden(done.stdout) == (
        reached(alpha, beta.address) + PROTOCOL + "pass  identity: beta, identity X\n"
        "pass  role: secondary, epoch 1.N, generation N; this node is primary\n"
        "pass  mode: symmetric here, symmetric there\n" + COMPARED
    )
    assert (done.returncode, done.stderr) == (0, "")

    done = beta.sbs("probe")
    assert golden(done.stdout) == (
        reached(beta, alpha.address) + PROTOCOL + "pass  identity: alpha, identity X\n"
        "pass  role: primary, epoch 1.N, generation N; this node is secondary\n"
        "pass  mode: symmetric here, symmetric there\n" + COMPARED
    )
    assert (done.returncode, done.stderr) == (0, "")

    done = beta.sbs("probe", beta.address)
    assert done.stdout == (
        reached(beta, beta.address)
        + PROTOCOL
        + f"fail  identity: beta at {beta.address} has this node's own identity\n"
        "      -> node.peer must be the address of the other node; if this state_dir was copied "
        f"from there, remove {beta.state_dir}/node.json\n"
    )
    assert (done.returncode, done.stderr) == (1, "")

    done = sbs("probe", alpha.address, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["ok"] is True
    assert found["rtt_ms"] > 0
    assert found["peer"].pop("generation") >= 1
    assert found["peer"] == {
        "name": "alpha",
        "role": "primary",
        "mode": "symmetric",
        "epoch": 1,
        "version": "0.1.0",
    }
    for check in found["checks"]:
        assert check.keys() == {"name", "result", "detail", "hint"}
        assert check["result"] == "pass"

    assert [status["role"] for status in pair.status()] == ["primary", "secondary"]
    assert [status["alarms"] for status in pair.status()] == [[], []]


def test_nothing_listening_ends_with_3() -> None:
    (port,) = free_ports(1)
    done = sbs("probe", f"127.0.0.1:{port}")
    assert done.stdout == (
        "pass  name: 127.0.0.1 is 127.0.0.1\n"
        "pass  route: from 127.0.0.1 to 127.0.0.1\n"
        f"fail  tcp: cannot connect to 127.0.0.1:{port}: Connection refused\n"
        "      -> start the peer with sbs run; its node.listen must be reachable at this address\n"
    )
    assert (done.returncode, done.stderr) == (3, "")


def test_a_web_server_ends_with_1() -> None:
    with answering(b"HTTP/1.0 400 Bad \x1b[2J\r\n\r\n") as address:
        done = sbs("probe", address)
    assert done.stdout.startswith(
        "pass  name: 127.0.0.1 is 127.0.0.1\n"
        "pass  route: from 127.0.0.1 to 127.0.0.1\n"
        f"pass  tcp: connected to {address}\n"
        "fail  protocol: what answers is no node of SBS: "
    )
    assert done.stdout.endswith(
        "      -> another program listens there: correct node.peer here or node.listen there\n"
    )
    assert "\x1b" not in done.stdout
    assert (done.returncode, done.stderr) == (1, "")


def test_a_listener_that_never_answers_ends_with_1() -> None:
    with answering(None) as address:
        done = sbs("probe", address)
    assert done.stdout == (
        "pass  name: 127.0.0.1 is 127.0.0.1\n"
        "pass  route: from 127.0.0.1 to 127.0.0.1\n"
        f"pass  tcp: connected to {address}\n"
        "fail  protocol: connected, but no hello within 2 s\n"
        "      -> is that another program's port? If it is a node, see its log: it may be stuck\n"
    )
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("words", [(), ("127.0.0.1:1",)], ids=["peer", "host"])
def test_a_wrong_configuration_is_a_failed_row_and_ends_with_78(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    config = tmp_path / "alpha.toml"
    config.write_text("[node]\npear = 1\n")
    done = sbs("probe", *words, "-c", config)
    assert done.stdout.startswith(f"fail  config: {config}: ")
    assert "      -> every key and what it allows: docs/configuration.md\n" in done.stdout
    assert (done.returncode, done.stderr) == (78, "")
    as_json = sbs("probe", *words, "-c", config, "--json")
    found = json.loads(as_json.stdout)
    assert as_json.returncode == 78
    assert (found["ok"], found["peer"], found["rtt_ms"]) == (False, None, None)
    assert [check["result"] for check in found["checks"]] == ["fail"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda made: made.chmod(0o644), "everybody can read it; run chmod go= on it"),
        (Path.unlink, "does not exist; sbs init and sbs pair make it"),
        (lambda made: made.write_text("key"), "holds 0 certificates"),
    ],
    ids=["open", "missing", "spoilt"],
)
def test_an_identity_that_cannot_be_used_is_a_failed_row_and_ends_with_78(
    spoil: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    """B60, B62: as `sbs run` ends with it."""
    made = Identities(tmp_path)
    config = tmp_path / "alpha.toml"
    config.write_text(
        '[node]\npeer = "127.0.0.1:1"\nstate_dir = "state"\n'
        f'[tls]\nidentity = "{made.path("alpha")}"\npeer_certificate = "{made.pins("beta")}"\n'
    )
    spoil(Path(made.path("alpha")))
    done = sbs("probe", "-c", config)
    first, second, hint = done.stdout.splitlines()
    assert first == f"pass  config: {config}"
    assert second.startswith(f"fail  identity: tls.identity {made.path('alpha')}: ")
    assert words in second
    assert hint.startswith(
        "      -> run this as the account of the node; what these files must be: "
    )
    assert (done.returncode, done.stderr) == (78, "")
