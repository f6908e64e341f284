"""What a right configuration becomes."""

from __future__ import annotations

import os
import socket
import string
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.config import (
    Config,
    FailoverSettings,
    FolderSettings,
    NodeSettings,
    SyncSettings,
    load,
    parse,
)
from sbs.config.declare import Key, Section
from sbs.config.limits import MAX_CLOCK_DRIFT, MAX_TIMEOUT_S
from sbs.config.settings import FILE
from sbs.config.structure import structured
from sbs.config.text import shown
from sbs.core.address import Address
from sbs.core.claim import Mode, Policy
from sbs.core.lease import hold_s
from sbs.core.manifest import FolderSpec
from sbs.core.messages import MAX_HOLD_S
from sbs.errors import ConfigError
from sbs.ports import Unit

PEER = '[node]\npeer = "b"\n'

FULL = """
[node]
name = "alpha"
mode = "backup-only"
listen = "[::1]"
peer = "192.0.2.2"
state_dir = "/var/lib/other"
priority = 7
slot = 1
[sync]
period_s = 30
strict_delete = true
preserve_mtime = true
watch = false
max_deletes = "50%"
rescan_s = 3600
compression = "off"
max_bytes_s = 5_000_000
accept_under = ["/srv/app", "more"]
keep_versions_s = 604800
keep_versions_bytes = 1000
[[folders]]
name = "settings"
path = "/srv/app/settings"
filters = ["+ **", "- *.tmp"]
owner = true
xattr = true
[hooks]
update = [["/bin/a", "b c"], ["d"]]
apply = [["e"]]
transition = [["f", ""]]
timeout_s = 20
on_update_failure = "hold"
[requirements]
install_path = 'C:\\app'
account = "svc"
capture_folder = '\\\\server\\share'
[services]
adapter = "process"
restart_limit = 3
restart_period_s = 60
restart_delay_s = 0.5
on_failure = "handover"
handover_pause_s = 600
[[services.unit]]
name = "printer-1"
command = ["python3", "-m", "http.server", "8101"]
start = []
stop = []
status = []
enabled = false
[failover]
heartbeat_interval_s = 0.1
down_interval_s = 0.3
probe_timeout_s = 1
partition_policy = "quorum"
start_alone = "only-if-last-primary"
stop_bound_s = 0
max_clock_drift = 0.02
failback = "manual"
failback_delay_s = 0
fence = ["/bin/fence", "b"]
[witness]
adapter = "etcd"
path = ""
endpoints = ["http://127.0.0.1:2379"]
lease_s = 5
pair = "printers"
[licence]
adapter = "file"
path = "node.licence"
trusted_keys = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
[mail]
enabled = false
adapter = "smtp"
server = "mail"
port = 587
security = "starttls"
ca_file = "ca.pem"
account = "a"
password_file = "secret"
sender = "s@example.org"
receivers = ["r@example.org"]
also = ["alarm"]
[tls]
identity = "alpha.pem"
peer_certificate = "beta.pem"
insecure = false
[web]
listen = "[::1]"
"""


def test_every_key_of_the_file_arrives() -> None:
    config = parse(FULL, "/etc/sbs/sbs.toml")
    assert config.node == NodeSettings(
        name="alpha",
        mode=Mode.BACKUP_ONLY,
        listen=Address("::1", 4445),
        peer=Address("192.0.2.2", 4445),
        state_dir="/var/lib/other",
        priority=7,
        slot=1,
    )
    assert config.sync == SyncSettings(
        period_s=30,
        strict_delete=True,
        preserve_mtime=True,
        watch=False,
        max_deletes="50%",
        rescan_s=3600,
        compression="off",
        max_bytes_s=5_000_000,
        accept_under=("/srv/app", "/etc/sbs/more"),
        keep_versions_s=604800,
        keep_versions_bytes=1000,
    )
    assert config.hooks.update == (("/bin/a", "b c"), ("d",))
    assert config.hooks.apply == (("e",),)
    assert config.hooks.transition == (("f", ""),)
    assert config.requirements.install_path == "C:\\app"
    assert config.requirements.capture_folder == "\\\\server\\share"
    command = ("python3", "-m", "http.server", "8101")
    assert config.services.unit == (Unit(name="printer-1", command=command, enabled=False),)
    assert config.failover == FailoverSettings(
        heartbeat_interval_s=0.1,
        down_interval_s=0.3,
        probe_timeout_s=1,
        stop_bound_s=0,
        max_clock_drift=0.02,
        failback="manual",
        failback_delay_s=0,
        partition_policy="quorum",
        start_alone="only-if-last-primary",
        fence=("/bin/fence", "b"),
    )
    assert config.policy is Policy.QUORUM
    assert config.witness.endpoints == ("http://127.0.0.1:2379",)
    assert config.witness_pair == "printers"
    assert config.licence.path == "/etc/sbs/node.licence"
    assert config.licence.trusted_keys == ("A" * 43 + "=",)
    assert config.mail.password_file == "/etc/sbs/secret"
    assert config.mail.ca_file == "/etc/sbs/ca.pem"
    assert config.mail.receivers == ("r@example.org",)
    assert config.mail.also == ("alarm",)
    assert config.tls.identity == "/etc/sbs/alpha.pem"
    assert config.tls.peer_certificate == "/etc/sbs/beta.pem"
    assert config.tls.is_on
    assert config.web.listen == Address("::1", 4447)
    assert config.path == "/etc/sbs/sbs.toml"


def test_the_full_file_has_every_key_there_is() -> None:
    def compare(section: Section, table: dict[str, Any]) -> None:
        assert list(table) == list(section.declarations)
        for name, declaration in section.declarations.items():
            if isinstance(declaration, Section):
                compare(declaration, table[name][0] if declaration.many else table[name])

    compare(FILE, tomllib.loads(FULL))


def test_defaults_fill_what_is_left_out() -> None:
    config = parse(PEER, "/etc/sbs.toml")
    node = NodeSettings(peer=Address("b", 4445))
    assert config == Config(node=node, path="/etc/sbs.toml")
    assert node.name == socket.gethostname()
    assert node.listen == Address("127.0.0.1", 4445)
    assert node.slot is None
    assert config.warnings == ()


def test_what_is_all_done_gives_no_warning() -> None:
    assert parse(FULL, "/etc/sbs.toml").warnings == ()


ETCD = '[witness]\nadapter = "etcd"\nendpoints = ["http://127.0.0.1:2379"]\n'


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", Policy.AVAILABILITY),
        ('[failover]\npartition_policy = "protect"', Policy.PROTECT),
        (ETCD, Policy.QUORUM),
        (ETCD + '[failover]\npartition_policy = "quorum"', Policy.QUORUM),
    ],
)
def test_without_a_word_the_witness_decides_the_policy(text: str, policy: Policy) -> None:
    """B3."""
    assert parse(PEER + text, "sbs.toml").policy is policy


def test_both_nodes_ask_the_witness_for_the_same_vote() -> None:
    """B3: two names would be two votes, and each node could have one."""
    text = '[node]\nlisten = "{}"\npeer = "{}"\n' + ETCD
    alpha = parse(text.format("127.0.0.1:1", "localhost:2"), "sbs.toml")
    beta = parse(text.format("LocalHost:2", "127.0.0.1:1"), "sbs.toml")
    assert alpha.witness_pair == beta.witness_pair == "127.0.0.1_1-127.0.0.1_2"
    wildcard = '[node]\nlisten = "0.0.0.0"\npeer = "b"\n[tls]\ninsecure = true\n'
    assert parse(wildcard + ETCD + 'pair = "p.1"', "sbs.toml").witness_pair == "p.1"


def test_mail_that_lacks_a_password_or_a_purpose_gives_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R50."""
    monkeypatch.delenv("SBS_MAIL_PASSWORD", raising=False)
    text = PEER + '[mail]\naccount = "sbs"\n'
    assert parse(text, "sbs.toml").warnings == (
        'mail.account = "sbs" has no password: set mail.password_file, or the environment variable '
        "SBS_MAIL_PASSWORD of the node",
    )
    assert parse(text + 'password_file = "p"', "sbs.toml").warnings == ()
    monkeypatch.setenv("SBS_MAIL_PASSWORD", "x")
    assert parse(text, "sbs.toml").warnings == ()
    vain = PEER + '[mail]\npassword_file = "secret"\nca_file = "/ca"'
    assert parse(vain, "sbs.toml").warnings == (
        "mail.password_file has no effect: mail.account is not set",
        'mail.ca_file = "/ca" has no effect: mail.security is "none"',
    )


def test_votes_that_nobody_asks_for_give_a_warning() -> None:
    text = PEER + '[witness]\nlease_s = 7\npair = "p"'
    assert parse(text, "sbs.toml").warnings == (
        'witness.lease_s = 7.0 has no effect: witness.adapter is "none"',
        'witness.pair = "p" has no effect: witness.adapter is "none"',
    )
    neutral = PEER + '[witness]\nadapter = "none"\npath = ""\nendpoints = []\npair = ""'
    assert parse(neutral + "\nlease_s = 5.0", "sbs.toml").warnings == ()


def test_a_down_interval_that_outlasts_votes_gives_a_warning() -> None:
    text = PEER + "[failover]\nstop_bound_s = 0.75\ndown_interval_s = {}\n" + ETCD + "lease_s = 2"
    assert parse(text.format(3), "sbs.toml").warnings == ()
    assert parse(text.format(4), "sbs.toml").warnings == (
        "failover.down_interval_s = 4.0 is longer than a vote holds (3.06 s): a takeover takes "
        "that much longer",
    )


def test_the_shortest_lease_is_two_heartbeats() -> None:
    """B3: the lease rule; one that just keeps it is allowed, also where 2 * 0.3 is rounded up."""
    text = PEER + "[failover]\nheartbeat_interval_s = {}\n" + ETCD + "lease_s = {}"
    assert parse(text.format(0.5, 1), "sbs.toml").witness.lease_s == 1
    assert parse(text.format(0.3, 0.6), "sbs.toml").witness.lease_s == 0.6
    with pytest.raises(ConfigError, match=r"0\.99 < 2 \* 0\.5 = 1$"):
        parse(text.format(0.5, 0.99), "sbs.toml")


def test_no_settings_make_a_vote_hold_longer_than_a_day_or_than_a_message_can_ask() -> None:
    """B3: so that no rule has to refuse one."""
    longest_s = hold_s(MAX_TIMEOUT_S, MAX_TIMEOUT_S, MAX_CLOCK_DRIFT)
    assert longest_s < 86_400 <= MAX_HOLD_S


@pytest.mark.parametrize("limit", ['"off"', '"0%"', '"100%"', "0", "5", '"20"'])
def test_the_delete_guard_takes_a_count_a_share_or_off(limit: str) -> None:
    """B22."""
    config = parse(PEER + f"[sync]\nmax_deletes = {limit}", "sbs.toml")
    assert shown(config.sync.max_deletes) == limit
    assert config.warnings == ()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "LocalHost"])
def test_loopback_needs_no_tls(host: str) -> None:
    """B62: a node serves loopback without proof of identity."""
    assert parse(PEER + f'listen = "{host}:0"', "sbs.toml").node.listen.port == 0


def test_beyond_loopback_needs_an_explicit_word() -> None:
    """B62: a node never listens beyond loopback without TLS unless told so."""
    text = PEER + 'listen = "0.0.0.0"\n[tls]\ninsecure = '
    assert parse(text + "true", "sbs.toml").node.listen == Address("0.0.0.0", 4445)
    with pytest.raises(ConfigError, match="without tls"):
        parse(text + "false", "sbs.toml")
    pinned = text + 'false\nidentity = "a.pem"\npeer_certificate = "b.pem"'
    assert parse(pinned, "sbs.toml").tls.is_on


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PEER + "[tls]\ninsecure = true", "node.listen is a loopback address"),
        (
            PEER + 'listen = "0.0.0.0"\n[tls]\ninsecure = true\n'
            'identity = "a.pem"\npeer_certificate = "b.pem"',
            "tls.identity is set",
        ),
    ],
)
def test_insecure_without_effect_is_a_warning(text: str, why: str) -> None:
    """B62: whoever has set it once shall not forget it."""
    (warning,) = parse(text, "sbs.toml").warnings
    assert warning == f"tls.insecure = true has no effect: {why}; take it out"


def test_the_same_host_with_another_port_is_another_node() -> None:
    assert parse('[node]\npeer = "127.0.0.1:4446"', "sbs.toml").node.peer.port == 4446


def test_relative_paths_begin_at_the_directory_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    path.write_text(
        PEER + 'state_dir = "./state"\n[[folders]]\nname = "f"\npath = "../f"\n', "utf-8"
    )
    config = load(path)
    assert config.node.state_dir == f"{tmp_path}/state"
    assert config.folders[0].path == f"{tmp_path}/../f"
    assert config.path == str(path)


def test_a_relative_name_of_the_file_counts_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sbs.toml").write_text(PEER + 'state_dir = "state"', "utf-8")
    monkeypatch.chdir(tmp_path)
    assert load("sbs.toml").node.state_dir == f"{tmp_path}/state"


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    path.write_text(PEER, "utf-8-sig")
    assert load(path).node.peer == Address("b", 4445)


def test_links_are_followed_when_directories_are_compared(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    os.symlink(tmp_path / "state", tmp_path / "link")
    text = PEER + 'state_dir = "state"\n[[folders]]\nname = "f"\npath = "link/f"'
    with pytest.raises(ConfigError, match=r"lies in node\.state_dir"):
        parse(text, tmp_path / "sbs.toml")


def test_folders_side_by_side_are_apart() -> None:
    text = PEER + "".join(f'[[folders]]\nname = "{p}"\npath = "/x/{p}"\n' for p in ("f", "fg"))
    assert [folder.path for folder in parse(text, "sbs.toml").folders] == ["/x/f", "/x/fg"]


def test_folders_travel_with_the_options_of_sync() -> None:
    """R22, R23, R24: the primary tells the secondary all of a folder's settings."""
    assert parse(FULL, "/etc/sbs.toml").folder_specs() == (
        FolderSpec(
            name="settings",
            path="/srv/app/settings",
            filters=("+ **", "- *.tmp"),
            strict_delete=True,
            preserve_mtime=True,
            owner=True,
            xattr=True,
        ),
    )


def test_an_installed_adapter_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B30: adapters plug in through entry points; theirs need no command."""
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[sbs.services]\nother = other:open\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    text = PEER + '[services]\nadapter = "{}"\n[[services.unit]]\nname = "a"'
    assert parse(text.format("other"), "sbs.toml").services.adapter == "other"
    with pytest.raises(ConfigError, match=r'allowed are .*"other", "process"'):
        parse(text.format("another"), "sbs.toml")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SyncSettings(period_s=0), "period_s: allowed is a number from 0.01 to 86400"),
        (
            lambda: FolderSettings(name="a/b", path="/f"),
            "name: allowed is 1 to 64 printable characters without '/'",
        ),
        (
            lambda: FailoverSettings(failback="never"),
            'failback: allowed are "auto", "manual"',
        ),
    ],
)
def test_settings_made_in_python_are_checked_too(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        make()
    assert str(caught.value) == text


def test_settings_cannot_be_changed() -> None:
    config = parse(PEER, "sbs.toml")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.node.priority = 5  # type: ignore[misc]  # that is the point


VALUES = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["none", "auto", "127.0.0.1:1", "http://a:1", "/f", "f", "off", "process", "+ *"]
    )
    | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(string.ascii_lowercase, max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def _tables(section: Section) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with the right keys, whose values may be anything."""
    return st.fixed_dictionaries(
        {},
        optional={
            name: _value(declaration) | VALUES for name, declaration in section.declarations.items()
        }
        | {"other": VALUES},
    )


def _value(declaration: Key | Section) -> st.SearchStrategy[Any]:
    if isinstance(declaration, Key):
        return VALUES
    table = _tables(declaration)
    return st.lists(table | VALUES, max_size=3) if declaration.many else table


@given(_tables(FILE))
def test_any_tables_become_settings_or_problems(raw: dict[str, Any]) -> None:
    config, problems = structured(raw, "/etc")
    assert config is not None
    for problem in problems:
        assert problem.text.isprintable()
        assert len(problem.text) < 3000
    if not problems:
        assert "peer" in raw["node"]


@given(st.text("[]{}=\"'.,#\n\\node peer1").map(lambda text: PEER + text) | st.text())
def test_any_text_is_a_configuration_or_a_configuration_error(text: str) -> None:
    outcome = _outcome(text)
    if isinstance(outcome, Config):
        assert outcome.node.peer == Address("b", 4445)
    else:
        assert str(outcome).startswith("/etc/sbs.toml: ")


def _outcome(text: str) -> Config | ConfigError:
    try:
        return parse(text, "/etc/sbs.toml")
    except ConfigError as error:
        return error


@pytest.mark.parametrize(
    ("place", "warns"),
    [("", False), ("127.0.0.1", False), ("localhost:1", False), ("0.0.0.0", True), ("a:1", True)],
)
def test_a_status_that_others_may_read_gives_a_warning(place: str, warns: bool) -> None:
    """B61: there is no authentication."""
    config = parse(PEER + f'[web]\nlisten = "{place}"', "sbs.toml")
    assert len(config.warnings) == warns
    if warns:
        assert config.warnings[0].startswith(f'web.listen = "{config.web.listen}" is beyond')
