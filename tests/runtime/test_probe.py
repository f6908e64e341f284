"""The checks of a probe, against peers that say what a test wants."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from sbs.adapters.transports.tcp import TcpTransport
from sbs.config import Config, parse
from sbs.core.address import Address
from sbs.core.claim import Claim, Mode, Role
from sbs.core.connection import Side
from sbs.core.effects import Durable
from sbs.core.epoch import Epoch
from sbs.core.history import History
from sbs.core.messages import Fact, Hello
from sbs.errors import ProtocolError, TransportError
from sbs.ports import Transport
from sbs.runtime.lasting.state import StateStore, Stored
from sbs.runtime.linking.link import Link
from sbs.runtime.operating import control
from sbs.runtime.probing.checks import ProbeReport, Result
from sbs.runtime.probing.facts import PEER, facts_of
from sbs.runtime.probing.fitting import MAX_CLOCK_DIFFERENCE_S
from sbs.runtime.probing.premises import PREMISES, findings
from sbs.runtime.probing.probe import probe
from sbs.runtime.probing.rows import ROWS as EXPLAINED
from tests.support import free_ports

CLAIM = Claim(
    node_id="b" * 32,
    name="beta",
    mode=Mode.SYMMETRIC,
    priority=100,
    slot=1,
    role=Role.SECONDARY,
    epoch=Epoch(3, 0),
    history=History(),
)

SETTINGS = [
    "failover.heartbeat_interval_s",
    "failover.down_interval_s",
    "failover.partition_policy",
    "failover.stop_bound_s",
    "failover.max_clock_drift",
    "witness.adapter",
    "witness.pair",
    "witness.lease_s",
    "services.adapter",
    "services.unit",
    "requirements.install_path",
    "requirements.account",
    "requirements.capture_folder",
]

ROWS = [
    *("config", "name", "route", "tcp", "tls", "protocol", "identity", "role", "mode", "clock"),
    *SETTINGS,
    PEER,
    *PREMISES,
    "round-trip",
]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make_config(tmp_path)


def make_config(tmp_path: Path, node: str = "", rest: str = "") -> Config:
    text = (
        f'[node]\nname = "alpha"\npeer = "127.0.0.1:1"\nstate_dir = "state"\n{node}\n'
        f"[failover]\nprobe_timeout_s = 2.0\n{rest}\n"
    )
    return parse(text, tmp_path / "alpha.toml")


def hello_of(config: Config, claim: Claim | None = CLAIM) -> Hello:
    """Of a peer whose settings are those of ``config``, and whose machine is this one."""
    facts = [
        attrs.evolve(fact, value=str(config.node.listen)) if fact.name == PEER else fact
        for fact in facts_of(config)
    ]
    return Hello(
        versions=(1, 1),
        software="sbs 9.9",
        claim=claim,
        facts=(*facts, *findings(config)),
        clock_ns=time.time_ns(),
    )


@asynccontextmanager
async def peer(
    hello: Callable[[], Hello], transport: Transport | None = None
) -> AsyncIterator[Address]:
    """A peer that says hello and then listens until the caller leaves."""

    async def serve() -> None:
        while True:
            link = Link(1, await listener.accept(), Side.ACCEPTOR, hello())
            try:
                visitor = await link.greet()
                assert visitor.claim is None, "a probe claims nothing"
                await link.run(not_expected)
            except* (TransportError, ProtocolError):
                await link.aclose()

    async def not_expected(message: object) -> None:
        raise AssertionError(f"a probe sent {message}")

    listener = await (transport or TcpTransport()).listen("127.0.0.1:0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield Address.parse(listener.address)
        nursery.cancel_scope.cancel()
    await listener.aclose()


async def probe_hello(hello: Hello, config: Config | None) -> ProbeReport:
    async with peer(lambda: hello) as address:
        return await probe(address, config, TcpTransport())


def results(report: ProbeReport) -> dict[str, Result]:
    return {check.name: check.result for check in report.checks}


def failing(report: ProbeReport) -> list[str]:
    """The rows that do not pass; each says what to do."""
    assert all(bool(check.hint) != (check.result is Result.PASS) for check in report.checks)
    assert all(check.detail for check in report.checks)
    return [check.name for check in report.checks if check.result is not Result.PASS]


async def test_a_peer_that_fits_passes_row_by_row(config: Config) -> None:
    """B60, R64."""
    report = await probe_hello(hello_of(config), config)
    assert [check.name for check in report.checks] == ROWS == [*EXPLAINED]
    assert failing(report) == []
    assert (report.ok, report.exit_code) == (True, 0)
    assert report.rtt_ms is not None
    assert report.rtt_ms > 0
    assert report.peer is not None
    assert attrs.asdict(report.peer) == {
        "name": "beta",
        "role": "secondary",
        "mode": "symmetric",
        "epoch": 3,
        "generation": 0,
        "version": "9.9",
    }


async def test_without_a_configuration_nothing_is_compared(config: Config) -> None:
    report = await probe_hello(hello_of(config), None)
    assert [check.name for check in report.checks] == [
        *("name", "route", "tcp", "tls", "protocol", "identity", "role", "clock", "round-trip")
    ]
    assert report.exit_code == 0


@pytest.mark.parametrize("changed", SETTINGS)
async def test_each_setting_that_differs_is_a_row_of_its_own(changed: str, config: Config) -> None:
    """R64, B60: it warns, for the pair works."""
    hello = hello_of(config)
    facts = tuple(
        Fact(fact.name, "other") if fact.name == changed else fact for fact in hello.facts
    )
    report = await probe_hello(attrs.evolve(hello, facts=facts), config)
    assert failing(report) == [changed]
    assert results(report)[changed] is Result.WARN
    row = next(check for check in report.checks if check.name == changed)
    assert row.detail.startswith("here ")
    assert row.detail.endswith(", there other")
    assert report.exit_code == 0


async def test_settings_that_the_peer_does_not_tell_are_warnings(config: Config) -> None:
    report = await probe_hello(attrs.evolve(hello_of(config), facts=()), config)
    assert failing(report) == [*SETTINGS, PEER, *PREMISES]
    assert report.exit_code == 0


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ("symmetric", Mode.SYMMETRIC, Result.PASS),
        ("primary-only", Mode.BACKUP_ONLY, Result.PASS),
        ("backup-only", Mode.PRIMARY_ONLY, Result.PASS),
        ("symmetric", Mode.PRIMARY_ONLY, Result.WARN),
        ("backup-only", Mode.SYMMETRIC, Result.WARN),
        ("primary-only", Mode.PRIMARY_ONLY, Result.FAIL),
        ("backup-only", Mode.BACKUP_ONLY, Result.FAIL),
    ],
)
async def test_the_only_modes_belong_together(
    own: str, other: Mode, expected: Result, tmp_path: Path
) -> None:
    """R6."""
    config = make_config(tmp_path, node=f'mode = "{own}"')
    report = await probe_hello(hello_of(config, attrs.evolve(CLAIM, mode=other)), config)
    assert results(report)["mode"] is expected
    assert failing(report) == ([] if expected is Result.PASS else ["mode"])
    assert report.exit_code == (1 if expected is Result.FAIL else 0)


@pytest.mark.parametrize(("off_s", "words"), [(60, "ahead of"), (-60, "behind")])
async def test_a_clock_that_differs_is_a_warning_with_its_direction(
    off_s: int, words: str, config: Config
) -> None:
    hello = hello_of(config)
    hello = attrs.evolve(hello, clock_ns=hello.clock_ns + off_s * 10**9)
    report = await probe_hello(hello, config)
    assert failing(report) == ["clock"]
    row = next(check for check in report.checks if check.name == "clock")
    assert row.result is Result.WARN
    assert words in row.detail


async def test_a_clock_that_differs_less_than_the_limit_passes(config: Config) -> None:
    def ahead() -> Hello:
        off_ns = int(MAX_CLOCK_DIFFERENCE_S * 0.5e9)
        return attrs.evolve(hello_of(config), clock_ns=time.time_ns() + off_ns)

    async with peer(ahead) as address:
        report = await probe(address, config, TcpTransport())
    assert failing(report) == []


async def test_a_peer_that_does_not_tell_its_time_is_a_warning(config: Config) -> None:
    report = await probe_hello(attrs.evolve(hello_of(config), clock_ns=0), config)
    assert failing(report) == ["clock"]


def save_identity(config: Config, node_id: str) -> None:
    store = StateStore(config.node.state_dir)
    store.save(Stored(node_id=node_id, durable=Durable(slot=0, epoch=Epoch(1, 0))))
    store.close()


async def test_an_address_of_this_node_itself_fails(config: Config) -> None:
    save_identity(config, CLAIM.node_id)
    report = await probe_hello(hello_of(config), config)
    assert failing(report) == ["identity"]
    assert results(report)["identity"] is Result.FAIL
    assert [check.name for check in report.checks][-1] == "identity", "no comparison with itself"
    assert report.exit_code == 1
    assert report.peer is not None


async def test_another_identity_passes_and_the_same_name_is_a_warning(config: Config) -> None:
    save_identity(config, "a" * 32)
    assert failing(await probe_hello(hello_of(config), config)) == []
    namesake = attrs.evolve(CLAIM, name="alpha")
    report = await probe_hello(hello_of(config, namesake), config)
    assert failing(report) == ["identity"]
    assert report.exit_code == 0


@pytest.fixture
def damaged(config: Config) -> Path:
    path = Path(config.node.state_dir, "node.json")
    path.parent.mkdir()
    path.write_text("{")
    return path


async def test_a_damaged_own_state_is_a_warning_and_is_left_alone(
    config: Config, damaged: Path
) -> None:
    report = await probe_hello(hello_of(config), config)
    assert failing(report) == ["identity"]
    assert report.exit_code == 0
    assert os.listdir(config.node.state_dir) == [damaged.name]


@pytest.mark.parametrize("role", [Role.WAITING, Role.FENCED])
async def test_a_peer_that_cannot_be_primary_is_a_warning(role: Role, config: Config) -> None:
    report = await probe_hello(hello_of(config, attrs.evolve(CLAIM, role=role)), config)
    assert failing(report) == ["role"]
    assert report.exit_code == 0


async def test_two_primaries_fail(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """B60: the nodes do not see each other, and the probe says so."""

    async def own_status(*_: object) -> object:
        return {"role": "primary"}

    monkeypatch.setattr(control, "ask", own_status)
    report = await probe_hello(hello_of(config, attrs.evolve(CLAIM, role=Role.PRIMARY)), config)
    assert failing(report) == ["role"]
    assert report.checks[7].detail == "primary, epoch 3.0, generation 0; this node is primary"
    assert report.exit_code == 1


async def test_a_visitor_is_no_peer(config: Config) -> None:
    report = await probe_hello(hello_of(config, None), config)
    assert failing(report) == ["protocol"]
    assert (report.exit_code, report.peer) == (1, None)


async def test_a_peer_of_another_version_fails_and_both_are_named(config: Config) -> None:
    hello = attrs.evolve(hello_of(config), versions=(7, 9))
    report = await probe_hello(hello, config)
    assert failing(report) == ["protocol"]
    row = report.checks[-1]
    assert "9" in row.detail
    assert "same release" in row.hint
    assert report.exit_code == 1


async def test_a_peer_that_closes_at_once_fails_the_protocol(config: Config) -> None:
    listener = await TcpTransport().listen("127.0.0.1:0")

    async def close_first() -> None:
        await (await listener.accept()).aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_first)
        report = await probe(Address.parse(listener.address), config, TcpTransport())
    await listener.aclose()
    assert failing(report) == ["protocol"]
    assert report.exit_code == 1


async def test_nothing_listening_is_unreachable(config: Config) -> None:
    (port,) = free_ports(1)
    report = await probe(Address("127.0.0.1", port), config, TcpTransport())
    assert failing(report) == ["tcp"]
    assert (report.exit_code, report.peer, report.rtt_ms) == (3, None, None)


class Silent:
    """A network that swallows every packet."""

    async def listen(self, address: str) -> object:
        raise AssertionError(f"a probe listened on {address}")

    async def dial(self, address: str) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError(address)


async def test_no_answer_is_unreachable_when_the_time_is_over(
    config: Config, autojump_clock: trio.testing.MockClock
) -> None:
    transport: object = Silent()
    report = await probe(Address("127.0.0.1", 4445), config, transport)  # type: ignore[arg-type]
    assert failing(report) == ["tcp"]
    assert report.checks[-1].detail == "127.0.0.1:4445: no answer within 2 s"
    assert report.exit_code == 3


async def test_an_unknown_name_is_unreachable(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_: object, **__: object) -> object:
        raise trio.socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(trio.socket, "getaddrinfo", unknown)
    report = await probe(Address("nosuch", 4445), config, TcpTransport())
    assert failing(report) == ["name"]
    assert report.checks[-1].detail == "nosuch: Name or service not known"
    assert report.exit_code == 3


@pytest.mark.parametrize("number", ["192.0.2.1", "2001:db8::1"])
async def test_a_network_without_a_way_there_is_unreachable(
    number: str, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B60: said before anybody waits for an answer that cannot come."""

    def nowhere(*_: object) -> str:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr("sbs.runtime.probing.probe.source_of", nowhere)
    report = await probe(Address(number, 4445), config)
    assert failing(report) == ["route"]
    assert report.checks[-1].detail == f"{number}: Network is unreachable"
    assert "ip route" in report.checks[-1].hint
    assert (report.exit_code, report.rtt_ms) == (3, None)


async def test_settings_without_effect_are_a_warning(tmp_path: Path) -> None:
    config = make_config(tmp_path, rest='[witness]\npair = "lab"\n')
    report = await probe_hello(hello_of(config), config)
    assert failing(report) == ["config"]
    assert "witness.pair" in report.checks[0].detail


def told(config: Config, name: str, value: str) -> Hello:
    """Of a peer that says something else in one fact."""
    hello = hello_of(config)
    facts = [Fact(name, value) if fact.name == name else fact for fact in hello.facts]
    return attrs.evolve(hello, facts=tuple(facts))


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:4446", "this node serves 127.0.0.1:4445"),
        ("192.0.2.1:4445", "this node serves 127.0.0.1:4445"),
        ("nosuch.invalid:4445", "a name that is not known here"),
        ("no address: at all", "this node serves 127.0.0.1:4445"),
    ],
)
async def test_a_peer_that_calls_another_is_a_warning(
    address: str, says: str, config: Config
) -> None:
    """R64: each knows its peer."""
    report = await probe_hello(told(config, PEER, address), config)
    assert failing(report) == [PEER]
    row = next(check for check in report.checks if check.name == PEER)
    assert row.detail == f"the peer calls {address}; {says}"
    assert report.exit_code == 0


@pytest.mark.parametrize("name", PREMISES)
@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("fail something is wrong there", Result.FAIL),
        ("warn something may be wrong there", Result.WARN),
        ("odd \x1b[31m", Result.WARN),
        ("", Result.WARN),
    ],
)
async def test_what_is_wrong_on_the_other_machine_is_a_row_here(
    name: str, value: str, result: Result, config: Config
) -> None:
    """R64: on both nodes, whichever is asked; a peer may say anything."""
    report = await probe_hello(told(config, name, value), config)
    assert failing(report) == [name]
    assert results(report)[name] is result
    row = next(check for check in report.checks if check.name == name)
    assert row.hint == PREMISES[name].hint
    assert row.detail.startswith("here ")


@pytest.mark.parametrize("name", [name for name, premise in PREMISES.items() if premise.same])
async def test_what_has_to_be_the_same_on_both_machines(name: str, config: Config) -> None:
    """R64: same domain, same shared folder."""
    report = await probe_hello(told(config, name, "pass another"), config)
    assert failing(report) == [name]
    assert results(report)[name] is Result.WARN


async def test_what_is_wrong_on_this_machine_fails(tmp_path: Path) -> None:
    """R64: neither directory is there, nor the account."""
    rest = (
        f'[requirements]\ninstall_path = "{tmp_path}/app"\naccount = "no-such-account"\n'
        f'capture_folder = "{tmp_path}/in"\n'
    )
    config = make_config(tmp_path, rest=rest)
    hello = hello_of(config)
    names = ["machine.install-path", "machine.account", "machine.capture-folder"]
    report = await probe_hello(hello, config)
    assert failing(report) == names
    assert all(results(report)[name] is Result.FAIL for name in names)
    assert report.exit_code == 1
    for directory in ("app", "in"):
        (tmp_path / directory).mkdir()
    assert failing(await probe_hello(hello_of(config), config)) == names[1:]
