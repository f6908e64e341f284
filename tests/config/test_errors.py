"""Every error as a person reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbs.config import load, parse
from sbs.config.declare import Section
from sbs.config.reading import _syntax
from sbs.config.settings import FILE as FILE_SECTION
from sbs.config.text import quoted
from sbs.errors import ConfigError

FILE = "/etc/sbs.toml"
PEER = '[node]\npeer = "127.0.0.1:4446"\n'
WORDS = "1 to 64 printable characters"
ETCD = '[witness]\nadapter = "etcd"\nendpoints = ["http://127.0.0.1:2379"]\n'
MAX_LINE = 2048  # as the fuzzer expects it
ODD_KEY = "A" * 42 + "B="  # its last character has bits that are none of the 32 bytes
APART = "allowed are folders and a state directory that lie apart"
NO_TLS = (
    "without tls.identity and tls.peer_certificate (sbs pair) allowed are only loopback addresses "
    "(127.0.0.0/8, ::1, localhost), unless tls.insecure = true says that everyone who reaches the "
    "port may pose as the peer"
)
ADDRESSES = "host, host:port, [IPv6] or [IPv6]:port"
COMMANDS = "an array of commands, each an array of strings"
MAIL = "an address as name@example.org, in ASCII"
TEXT = "a string of at most 1000 printable characters"

CASES = [
    # node
    ("", [f"node.peer is not set: required is {ADDRESSES}"]),
    ("[node]", [f"node.peer is not set: required is {ADDRESSES}"]),
    ("node = 5", ["node = 5: is an integer, expected a table"]),
    ("[[node]]\npeer = 'x'", ["node = (not shown): is an array, expected a table"]),
    (
        PEER + 'mode = "both"',
        ['node.mode = "both": allowed are "symmetric", "primary-only", "backup-only"'],
    ),
    (
        PEER + "mode = 1",
        ['node.mode = 1: is an integer, expected "symmetric", "primary-only" or "backup-only"'],
    ),
    (PEER + 'name = ""', [f'node.name = "": allowed is {WORDS}, a letter or digit first']),
    (
        PEER + 'name = "a\\u001b[2J"',
        [f'node.name = "a\\u001B[2J": allowed is {WORDS}, a letter or digit first'],
    ),
    (
        PEER + 'priority = "high"',
        ['node.priority = "high": is a string, expected an integer from 0 to 1000'],
    ),
    (PEER + "priority = 1001", ["node.priority = 1001: allowed is an integer from 0 to 1000"]),
    (
        PEER + "priority = true",
        ["node.priority = true: is a boolean, expected an integer from 0 to 1000"],
    ),
    (
        PEER + "priority = 1.0",
        ["node.priority = 1.0: is a float, expected an integer from 0 to 1000"],
    ),
    (
        PEER + "priority = 2026-01-02",
        ["node.priority = 2026-01-02: is a date or time, expected an integer from 0 to 1000"],
    ),
    (PEER + "slot = 2", ["node.slot = 2: allowed is an integer from 0 to 1"]),
    (PEER + 'state_dir = ""', ['node.state_dir = "": allowed is a path that is not empty']),
    (
        PEER + 'state_dir = "a\\u0000"',
        ['node.state_dir = "a\\u0000": allowed is a path without NUL, of at most 4096 bytes'],
    ),
    ("[node]\npeer = 5", [f"node.peer = 5: is an integer, expected an address: {ADDRESSES}"]),
    (
        '[node]\npeer = "b:1:2"',
        [
            'node.peer = "b:1:2": an IPv6 address is written in brackets; '
            "allowed is host, host:port, [IPv6] or [IPv6]:port"
        ],
    ),
    (
        '[node]\npeer = "b:0"',
        ['node.peer = "b:0": port 0 cannot be reached; allowed are ports from 1 to 65535'],
    ),
    (
        '[node]\nlisten = "127.0.0.1:4446"\npeer = "localhost:4446"',
        [
            'node.peer = "localhost:4446": is this node itself, node.listen = "127.0.0.1:4446"; '
            "allowed is the address of the other node"
        ],
    ),
    (PEER + 'listen = "0.0.0.0"', [f'node.listen = "0.0.0.0:4445": {NO_TLS}']),
    (PEER + 'listen = "[::]:1"', [f'node.listen = "[::]:1": {NO_TLS}']),
    (PEER + 'listen = "alpha:1"', [f'node.listen = "alpha:1": {NO_TLS}']),
    # unknown keys
    (PEER + "perr = 1", ["node.perr: unknown key; did you mean node.peer?"]),
    (PEER + "[falover]\nx = 1", ["falover: unknown key; did you mean failover?"]),
    (PEER + "period_s = 5", ["node.period_s: unknown key; did you mean sync.period_s?"]),
    (
        PEER + "[hooks]\nzzz = 1",
        [
            "hooks.zzz: unknown key; known are update, apply, transition, timeout_s, "
            "on_update_failure"
        ],
    ),
    (PEER + '[web]\n"x y" = 1', ['web."x y": unknown key; known are listen']),
    ("path = 'x'\n" + PEER, ["path: unknown key; did you mean folders.path?"]),
    # sync
    (PEER + "[sync]\nperiod_s = 0", ["sync.period_s = 0: allowed is a number from 0.01 to 86400"]),
    (
        PEER + "[sync]\nperiod_s = nan",
        ["sync.period_s = nan: allowed is a number from 0.01 to 86400"],
    ),
    (
        PEER + "[sync]\nperiod_s = 0x" + "f" * 20,
        ["sync.period_s = 0xffffffffffffffffffff: allowed is a number from 0.01 to 86400"],
    ),
    (
        PEER + '[sync]\nperiod_s = "30"',
        ['sync.period_s = "30": is a string, expected a number from 0.01 to 86400'],
    ),
    (PEER + "[sync]\nwatch = 1", ["sync.watch = 1: is an integer, expected true or false"]),
    (
        PEER + '[sync]\nmax_deletes = "101%"',
        [
            'sync.max_deletes = "101%": allowed is "off", a share from "0%" to "100%", '
            "or a count from 0"
        ],
    ),
    (
        PEER + "[sync]\nmax_deletes = -1",
        ['sync.max_deletes = -1: allowed is "off", a share from "0%" to "100%", or a count from 0'],
    ),
    (
        PEER + "[sync]\nmax_deletes = 0.5",
        [
            'sync.max_deletes = 0.5: is a float, expected "off", a share from "0%" to "100%", '
            "or a count from 0"
        ],
    ),
    (
        PEER + "[sync]\nmax_bytes_s = 5",
        [
            "sync.max_bytes_s = 5: allowed is 0, or an integer from 131072 to 1099511627776",
        ],
    ),
    (
        PEER + "[sync]\nmax_bytes_s = 1e6",
        [
            "sync.max_bytes_s = 1000000.0: is a float, expected 0, or an integer from 131072 to "
            "1099511627776"
        ],
    ),
    (
        PEER + '[sync]\ncompression = "lz4"',
        ['sync.compression = "lz4": allowed are "auto", "off"'],
    ),
    (
        PEER + '[sync]\naccept_under = "/srv"',
        ['sync.accept_under = "/srv": is a string, expected an array of paths'],
    ),
    (
        PEER + '[sync]\naccept_under = ["/srv", 1]',
        ['sync.accept_under = ["/srv", 1]: item 2: is an integer, expected a path'],
    ),
    # folders
    (
        PEER + '[folders]\nname = "a"',
        [
            "folders = (not shown): is a table, expected an array of tables, each begun by "
            "[[folders]]"
        ],
    ),
    ("folders = [5]\n" + PEER, ["folders[1] = 5: is an integer, expected a table"]),
    (
        PEER + "[[folders]]",
        [
            "folders[1].name is not set: required is 1 to 64 printable characters without '/'",
            "folders[1].path is not set: required is a path",
        ],
    ),
    (
        PEER + '[[folders]]\nname = "a/b"\npath = "/f"',
        [f"folders[1].name = \"a/b\": allowed is {WORDS} without '/'"],
    ),
    (
        PEER + '[[folders]]\nname = "a"\npath = "/f"\nfilters = ["x"]',
        ["folders[1].filters = [\"x\"]: filter rule 'x': '+ PATTERN' or '- PATTERN' is allowed"],
    ),
    (
        PEER + '[[folders]]\nname = "a"\npath = "/f"\nfilters = [["- x"]]',
        ['folders[1].filters = [["- x"]]: item 1 is an array, expected a string'],
    ),
    (
        PEER + '[[folders]]\nname = "a"\npath = "/f"\n[[folders]]\nname = "a"\npath = "/g"',
        ['folders[2].name = "a": is also folders[1].name; allowed are names that differ'],
    ),
    (
        PEER + '[[folders]]\nname = "a"\npath = "/f"\n[[folders]]\nname = "b"\npath = "/f/./g"',
        [f'folders[2].path = "/f/g": lies in folders[1].path = "/f"; {APART}'],
    ),
    (
        PEER + '[[folders]]\nname = "a"\npath = "/f/g"\n[[folders]]\nname = "b"\npath = "/f"',
        [f'folders[2].path = "/f": holds folders[1].path = "/f/g"; {APART}'],
    ),
    (
        PEER + '[[folders]]\nname = "a"\npath = "/f"\n[[folders]]\nname = "b"\npath = "/x/../f"',
        [f'folders[2].path = "/x/../f": is folders[1].path = "/f"; {APART}'],
    ),
    (
        PEER + 'state_dir = "/f/state"\n[[folders]]\nname = "a"\npath = "/f"',
        [f'folders[1].path = "/f": holds node.state_dir = "/f/state"; {APART}'],
    ),
    (
        PEER + 'state_dir = "/s"\n[[folders]]\nname = "a"\npath = "/s/f"',
        [f'folders[1].path = "/s/f": lies in node.state_dir = "/s"; {APART}'],
    ),
    # hooks and services: a command may hold a password
    (
        PEER + '[hooks]\nupdate = "dump --password=hunter2"',
        [f"hooks.update = (not shown): is a string, expected {COMMANDS}"],
    ),
    (
        PEER + '[hooks]\napply = ["dump", "hunter2"]',
        [
            "hooks.apply = (not shown): item 1: is a string, expected an array of strings, "
            "program first"
        ],
    ),
    (
        PEER + "[hooks]\ntransition = [[]]",
        [
            "hooks.transition = (not shown): item 1: names no program, expected an array of "
            "strings, program first"
        ],
    ),
    (
        PEER + '[hooks]\nupdate = [["a", 1]]',
        ["hooks.update = (not shown): item 1: item 2 is an integer, expected a string"],
    ),
    (
        PEER + '[hooks]\nupdate = [["a\\u0000"]]',
        [
            "hooks.update = (not shown): item 1: item 1: allowed is a string without NUL, of at "
            "most 32768 characters"
        ],
    ),
    (
        PEER + '[services]\nadapter = "proces"',
        [
            'services.adapter = "proces": no such adapter is installed; allowed are "command", '
            '"process", "systemd", "windows"'
        ],
    ),
    (
        PEER + "[services]\nadapter = 1",
        ["services.adapter = 1: is an integer, expected the name of an installed service adapter"],
    ),
    (
        PEER + '[services.unit]\nname = "a"',
        [
            "services.unit = (not shown): is a table, expected an array of tables, each begun by "
            "[[services.unit]]"
        ],
    ),
    (
        PEER + '[[services.unit]]\nname = "a"',
        [
            'services.unit[1].command is not set: the adapter "process" requires an array of '
            "strings, program first"
        ],
    ),
    (
        PEER + '[[services.unit]]\nname = "a"\ncommand = ["x"]\nstop = ["y"]',
        [
            "services.unit[1].stop = (not shown): has no meaning with services.adapter = "
            '"process"; leave it out'
        ],
    ),
    (
        PEER + 'mode = "primary-only"\n[services]\non_failure = "handover"',
        [
            'services.on_failure = "handover": needs failover.failback = "manual" where '
            'node.mode = "primary-only": the role would come back after failover.failback_delay_s'
        ],
    ),
    (
        PEER
        + '[services]\nadapter = "command"\n[[services.unit]]\nname = "a"\ncommand = ["x"]\n'
        + 'start = ["x"]\nstop = ["x"]',
        [
            "services.unit[1].command = (not shown): has no meaning with services.adapter = "
            '"command"; leave it out',
            'services.unit[1].status is not set: the adapter "command" requires an array of '
            "strings, program first",
        ],
    ),
    (
        PEER + '[[services.unit]]\nname = ""\ncommand = ["x"]\nenabled = "no"',
        [
            f'services.unit[1].name = "": allowed is {WORDS}',
            'services.unit[1].enabled = "no": is a string, expected true or false',
        ],
    ),
    (
        PEER
        + '[[services.unit]]\nname = "a"\ncommand = ["x"]\n'
        + '[[services.unit]]\nname = "a"\ncommand = ["y"]',
        [
            'services.unit[2].name = "a": is also services.unit[1].name; '
            "allowed are names that differ"
        ],
    ),
    # failover
    (
        PEER + "[failover]\nheartbeat_interval_s = 0",
        ["failover.heartbeat_interval_s = 0: allowed is a number from 0.01 to 60"],
    ),
    (
        PEER + "[failover]\nheartbeat_interval_s = 1",
        [
            "failover.down_interval_s = 2.0: allowed is at least 3 * heartbeat_interval_s, "
            "and 2 < 3 * 1 = 3"
        ],
    ),
    (
        PEER + "[failover]\nprobe_timeout_s = -1",
        ["failover.probe_timeout_s = -1: allowed is a number from 0.01 to 3600"],
    ),
    (
        PEER + "[failover]\nstop_bound_s = inf",
        ["failover.stop_bound_s = inf: allowed is a number from 0 to 3600"],
    ),
    (
        PEER + "[failover]\nmax_clock_drift = 1",
        ["failover.max_clock_drift = 1: allowed is a number from 0 to 0.5"],
    ),
    (
        PEER + '[failover]\nfailback = "never"',
        ['failover.failback = "never": allowed are "auto", "manual"'],
    ),
    (
        PEER + '[failover]\npartition_policy = "quorum"',
        [
            'failover.partition_policy = "quorum": needs a witness, but witness.adapter = "none"; '
            'set one, as "folder" or "etcd"'
        ],
    ),
    (
        PEER + '[failover]\npartition_policy = "hope"',
        ['failover.partition_policy = "hope": allowed are "availability", "protect", "quorum"'],
    ),
    (
        PEER + '[failover]\nstart_alone = "never"',
        ['failover.start_alone = "never": allowed are "always", "only-if-last-primary"'],
    ),
    # witness
    (
        PEER + '[witness]\nadapter = "oracle"',
        [
            'witness.adapter = "oracle": no such adapter is installed; allowed are "etcd", '
            '"folder", "none"'
        ],
    ),
    (
        PEER + '[failover]\npartition_policy = "protect"\n' + ETCD,
        [
            'failover.partition_policy = "protect": would not ask witness.adapter = "etcd"; '
            'allowed with a witness is "quorum"'
        ],
    ),
    (
        PEER + '[witness]\nadapter = "etcd"',
        ['witness.endpoints is not set: witness.adapter = "etcd" requires it'],
    ),
    (
        PEER + '[witness]\nadapter = "folder"',
        ['witness.path is not set: witness.adapter = "folder" requires it'],
    ),
    (
        PEER + ETCD + 'path = "/srv/w"',
        ['witness.path = "/srv/w": has no meaning with witness.adapter = "etcd"; leave it out'],
    ),
    (
        PEER + '[witness]\npair = "a b"',
        [
            'witness.pair = "a b": allowed is at most 64 letters, digits, dots, dashes and '
            "underscores"
        ],
    ),
    (
        '[node]\nlisten = "0.0.0.0"\npeer = "b"\n[tls]\ninsecure = true\n' + ETCD,
        [
            'witness.pair is not set: node.listen = "0.0.0.0:4445" does not tell the nodes apart; '
            "required is a name, the same on both nodes"
        ],
    ),
    (
        '[node]\nlisten = "127.0.0.1:0"\npeer = "b"\n' + ETCD,
        [
            'witness.pair is not set: node.listen = "127.0.0.1:0" does not tell the nodes apart; '
            "required is a name, the same on both nodes"
        ],
    ),
    (
        '[node]\npeer = "0.0.0.0:4446"\n' + ETCD,
        [
            'witness.pair is not set: node.peer = "0.0.0.0:4446" does not tell the nodes apart; '
            "required is a name, the same on both nodes"
        ],
    ),
    (
        PEER + '[witness]\npath = "/w"\nendpoints = ["http://a:1"]',
        [
            'witness.path = "/w": has no meaning with witness.adapter = "none"; leave it out',
            'witness.endpoints = ["http://a:1"]: has no meaning with witness.adapter = "none"; '
            "leave it out",
        ],
    ),
    (
        PEER + '[witness]\nadapter = "folder"\npath = "/w"\nendpoints = ["http://a:1"]',
        [
            'witness.endpoints = ["http://a:1"]: has no meaning with witness.adapter = "folder"; '
            "leave it out"
        ],
    ),
    (
        PEER + '[witness]\nadapter = "etcd"\nendpoints = ["http://a:1", "http://a"]',
        [
            'witness.endpoints = ["http://a:1", "http://a"]: item 2: names no port from 1 to '
            "65535; allowed is http://host:port or https://host:port"
        ],
    ),
    (
        PEER + 'state_dir = "/s"\n[witness]\nadapter = "folder"\npath = "/s/w"',
        [f'witness.path = "/s/w": lies in node.state_dir = "/s"; {APART}'],
    ),
    (
        PEER + '[witness]\nadapter = "folder"\npath = "/f/w"\n[[folders]]\nname = "f"\npath = "/f"',
        [f'folders[1].path = "/f": holds witness.path = "/f/w"; {APART}'],
    ),
    (
        PEER + '[witness]\nadapter = "folder"\npath = "/f"\n[[folders]]\nname = "f"\npath = "/f/g"',
        [f'folders[1].path = "/f/g": lies in witness.path = "/f"; {APART}'],
    ),
    (
        PEER + ETCD + "lease_s = 0.6",
        [
            "witness.lease_s = 0.6: allowed is at least 2 * failover.heartbeat_interval_s, or a "
            "vote runs out between two looks at the time, and 0.6 < 2 * 0.5 = 1"
        ],
    ),
    (
        PEER + "[witness]\nlease_s = 0",
        ["witness.lease_s = 0: allowed is a number from 0.5 to 3600"],
    ),
    (
        PEER + '[licence]\nadapter = "file"',
        [
            'licence.path is not set: licence.adapter = "file" requires it',
            'licence.trusted_keys is not set: licence.adapter = "file" requires it',
        ],
    ),
    (
        PEER + '[licence]\npath = "/l"',
        [
            'licence.path = "/l": has no meaning with licence.adapter = "none"; leave it out, or '
            'set "file"'
        ],
    ),
    (
        PEER + '[licence]\nadapter = "file"\npath = "/l"\ntrusted_keys = ["AAAA", 1]',
        [
            'licence.trusted_keys = ["AAAA", 1]: item 1: allowed is 44 characters, base64 of the '
            "32 bytes of an Ed25519 public key"
        ],
    ),
    (
        PEER + f'[licence]\nadapter = "file"\npath = "/l"\ntrusted_keys = ["{ODD_KEY}"]',
        [
            f'licence.trusted_keys = ["{ODD_KEY}"]: item 1: is no canonical base64; the same 32 '
            f"bytes are '{ODD_KEY[:-2]}A='"
        ],
    ),
    (
        PEER + '[licence]\nadapter = "file"\npath = "/l"\ntrusted_keys = [1]',
        [
            "licence.trusted_keys = [1]: item 1: is an integer, expected 44 characters, base64 of "
            "the 32 bytes of an Ed25519 public key"
        ],
    ),
    (
        PEER + "[mail]\nenabled = true",
        [
            "mail.sender is not set: mail.enabled = true requires an address",
            "mail.receivers is not set: mail.enabled = true requires at least one address",
        ],
    ),
    (PEER + "[mail]\nport = 0", ["mail.port = 0: allowed is an integer from 1 to 65535"]),
    (
        PEER + '[mail]\nsender = "a\\nb"',
        [f'mail.sender = "a\\u000Ab": allowed is {MAIL}, or an empty string for none'],
    ),
    (
        PEER + '[mail]\nreceivers = ["a@example.org", "b"]',
        [f'mail.receivers = ["a@example.org", "b"]: item 2: allowed is {MAIL}'],
    ),
    (
        PEER + '[mail]\nreceivers = ["a@example.org", "a@example.org"]',
        [
            'mail.receivers = ["a@example.org", "a@example.org"]: item 2 is item 1 again; '
            "allowed are items that differ"
        ],
    ),
    (
        PEER + '[mail]\nalso = ["switchover"]',
        [
            'mail.also = ["switchover"]: item 1: allowed are "handover", "restart", '
            '"recovery", "alarm"',
        ],
    ),
    (
        PEER + '[mail]\nserver = "mail server"',
        ['mail.server = "mail server": allowed is a host name or an IP address'],
    ),
    (
        PEER + '[mail]\nserver = "mail.example.org"\naccount = "sbs"',
        [
            'mail.security = "none": would send the password to mail.example.org for everybody to '
            'read; allowed is "starttls" or "tls" where mail.account is set and the server is not '
            "on this machine"
        ],
    ),
    (
        PEER + '[mail]\nadapter = "pigeon"',
        ['mail.adapter = "pigeon": no such adapter is installed; allowed is "smtp"'],
    ),
    (
        PEER + '[mail]\npassword = "hunter2"',
        ["mail.password: unknown key; did you mean mail.password_file?"],
    ),
    (
        PEER + "[mail]\npassword_file = 12345",
        [
            "mail.password_file = (not shown): is an integer, expected a path, or an empty "
            "string for none"
        ],
    ),
    (
        PEER + '[tls]\nidentity = "a.pem"',
        ["tls.peer_certificate is not set: tls.identity requires it; set both, or none"],
    ),
    (
        PEER + '[tls]\nidentity = "a.pem"\npeer_certificate = "./a.pem"',
        [
            "tls.peer_certificate = (not shown): is tls.identity, too; allowed is a file of its "
            "own, with the peer's certificate"
        ],
    ),
    (
        PEER + '[tls]\npeer_certificate = "x"',
        ["tls.identity is not set: tls.peer_certificate requires it; set both, or none"],
    ),
    (
        PEER + "[web]\nlisten = 4447",
        [
            "web.listen = 4447: is an integer, expected an address: host, host:port, [IPv6] or "
            "[IPv6]:port, or an empty string for none"
        ],
    ),
    (
        PEER + '[web]\nlisten = "127.0.0.1:x"',
        [
            "web.listen = \"127.0.0.1:x\": port 'x' is no number from 0 to 65535; allowed is host, "
            "host:port, [IPv6] or [IPv6]:port"
        ],
    ),
    (
        PEER + '[web]\nlisten = "localhost:4445"',
        [
            'web.listen = "localhost:4445": is node.listen = "127.0.0.1:4445", too; allowed is a '
            "port of its own"
        ],
    ),
    # not TOML
    ("[node]\npeer = ", ["line 2, column 8: not TOML: Invalid value (the text ends here)"]),
    ("[node]\npeer = x", ["line 2, column 8: not TOML: Invalid value"]),
    ("a = " + "9" * 5000, ["a number is too long"]),
    ("a = " + "[" * 100_000, ["arrays or tables are nested too deeply"]),
]


def _error(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, FILE)
    return str(caught.value)


@pytest.mark.parametrize(("text", "lines"), CASES, ids=[case[1][0][:60] for case in CASES])
def test_an_error_names_file_key_value_and_what_is_allowed(text: str, lines: list[str]) -> None:
    """R2, B62: among others, no peer and listening beyond loopback are refused at once."""
    error = _error(text)
    assert error.splitlines() == [f"{FILE}: {line}" for line in lines]
    assert "hunter2" not in error


def test_all_problems_of_a_file_are_reported_at_once() -> None:
    text = """
        [node]
        mode = "both"
        listen = "0.0.0.0"
        [[folders]]
        path = 5
        [[folders]]
        name = "b"
        path = "/var/lib/sbs/x"
        [failover]
        heartbeat_interval_s = 1
        down_interval = 5
    """
    assert _error(text).splitlines() == [
        f"{FILE}: {line}"
        for line in (
            'node.mode = "both": allowed are "symmetric", "primary-only", "backup-only"',
            f"node.peer is not set: required is {ADDRESSES}",
            f"folders[1].name is not set: required is {WORDS} without '/'",
            "folders[1].path = 5: is an integer, expected a path",
            "failover.down_interval: unknown key; did you mean failover.down_interval_s?",
            f'node.listen = "0.0.0.0:4445": {NO_TLS}',
            "failover.down_interval_s = 2.0: allowed is at least 3 * heartbeat_interval_s, "
            "and 2 < 3 * 1 = 3",
            'folders[2].path = "/var/lib/sbs/x": lies in node.state_dir = "/var/lib/sbs"; ' + APART,
        )
    ]


def test_a_rule_between_keys_waits_until_each_is_right_by_itself() -> None:
    text = PEER + '[failover]\ndown_interval_s = "x"\nheartbeat_interval_s = 5'
    assert len(_error(text).splitlines()) == 1


def test_a_hundred_problems_are_named_and_the_rest_counted() -> None:
    text = PEER + "".join(f"unknown_{number:03} = 1\n" for number in range(120))
    lines = _error(text).splitlines()
    assert len(lines) == 101
    assert lines[-1] == f"{FILE}: and 20 problems more"


def test_too_many_tables_are_refused() -> None:
    text = PEER + "".join(f'[[folders]]\nname = "{n}"\npath = "/f{n}"\n' for n in range(257))
    assert _error(text) == f"{FILE}: folders = (not shown): has 257 tables, allowed are at most 256"


def test_too_many_items_are_refused() -> None:
    text = PEER + f"[mail]\nreceivers = [{'1, ' * 1001}]"
    shown = "[" + "1, " * 65 + "1..."
    assert _error(text) == (
        f"{FILE}: mail.receivers = {shown}: has 1001 items, allowed are at most 100"
    )


LONG = (
    *("e" * 9000, "e:" * 4000, "e:" + "e" * 9000, "[" * 9000, "[e]:" * 2000, f"[{'e' * 9000}]"),
    *("http://" + "e" * 9000, "9" * 9000, "9" * 9000 + "%", "a@b" * 3000, "/" * 9000, "*/" * 500),
    *("\U0010ffff" * 250, "e:" + "\U0010ffff" * 9000, "+ " + "\U0010ffff" * 900 + "//"),
    *("e " * 450, "- " + "[" * 900, "+ " + "\0" * 1000),
)


def every_key(section: Section, above: str = "") -> Iterator[tuple[str, str]]:
    for name, declaration in section.declarations.items():
        if isinstance(declaration, Section):
            yield from every_key(declaration, f"{above}.{name}".lstrip("."))
        else:
            yield above, name


@pytest.mark.parametrize(("section", "name"), [*every_key(FILE_SECTION)])
def test_no_value_hides_what_is_said_about_it(section: str, name: str) -> None:
    """Found by fuzzing, seed 660294731: a port of 16,000 characters stood whole in the error."""
    for text in map(quoted, LONG):
        for value in (text, f"[{text}]", f"[[{text}]]"):
            for head in (f"[{section}]", f"[[{section}]]"):
                for line in _error(f"{head}\n{name} = {value}\n").split("\n"):
                    assert len(line) <= MAX_LINE, line


def test_a_syntax_error_names_the_beginning_of_a_long_key() -> None:
    key = "e" * 9000
    error = _error(f"[{key}]\n[{key}]\n")
    assert error.startswith(f"{FILE}: line 2, column 9002: not TOML: Cannot declare ('eee")
    assert error.endswith("...")
    assert len(error) <= MAX_LINE


def test_a_deep_value_is_cut() -> None:
    text = PEER + "state_dir." + ".".join("a" * 900) + " = 1\n[sync]\naccept_under = {a.b.c.d = 1}"
    assert _error(text).splitlines() == [
        f"{FILE}: node.state_dir = {{a = {{a = {{...}}}}}}: is a table, expected a path",
        f"{FILE}: sync.accept_under = {{a = {{b = {{...}}}}}}: "
        "is a table, expected an array of paths",
    ]


def test_a_host_name_that_cannot_serve_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "-")
    assert _error(PEER) == (f'{FILE}: node.name = "-": allowed is {WORDS}, a letter or digit first')


def test_a_path_too_long_with_its_directory_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"node\.state_dir = .*of at most 4096 bytes"):
        parse(PEER + f'state_dir = "{"d/" * 2040}d"', "/" + "e/" * 50 + "sbs.toml")


def test_a_file_that_is_missing_is_named_with_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: the file cannot be read: No such file or directory"
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path}: the file cannot be read: Is a directory"


def test_a_path_with_nul_is_no_file() -> None:
    with pytest.raises(ConfigError, match="the file cannot be read: embedded null byte"):
        load("a\0b")


def test_a_file_that_is_not_utf_8_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    path.write_bytes(b'[node]\nname = "\xff"\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: line 2, column 9: byte 0xFF is not UTF-8"


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "sbs.toml"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 2**40)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: the file is over 4194304 bytes, it is no configuration"


def test_a_syntax_error_without_a_place_keeps_its_words() -> None:
    assert _syntax("Something new", "") == "not TOML: Something new"
