"""What an administrator writes: the configuration, the environment, the password's file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from sbs.cli.options import find_state_dir
from sbs.config.editing import value_at, with_table, with_value, without
from sbs.config.problems import KeyPath
from sbs.config.reading import MAX_REPORTED, parse
from sbs.errors import ConfigError, NotifyError
from sbs.runtime.mailing import password
from sbs.runtime.supervisor import Supervisor
from tests.fuzz.contract import KIB, Form, Target, text_of, toml_bytes
from tests.fuzz.scratch import scratch

MAX_LINE: Final = 2 * KIB
"""Characters of a problem: two keys and two values of 200 each, 100 of a text that is a literal,
ten for each that is escaped, and what is said of them."""

_NAME: Final = "/etc/sbs/sbs.toml"
_TOKENS: Final = (
    *(b"[node]", b"[failover]", b"[[folders]]", b"[services]", b"[[services.unit]]", b"[mail]"),
    *(b"[witness]", b"[licence]", b"[tls]", b"[[node]]", b"true", b"0", b"-1", b"nan", b"inf"),
    *(b'""', b'"/srv/a"', b'"/"', b'"\\u0000"', b"[[[[", b"{}", b"{a={}}", b"1979-05-27", b"a.b.c"),
    *(b'"127.0.0.1:4445"', b'"[::1]:4445"', b'"symmetric"', b'"quorum"', b'"etcd"', b'"50%"'),
    *(b"name", b"peer", b"listen", b"path", b"filters", b"command", b"depends_on", b"listen_on"),
)


def read_config(data: bytes) -> bool:
    """A configuration: an error has a printable line for each problem, and names the file."""
    text = data.decode("utf-8", "replace")
    try:
        parse(text, _NAME)
    except ConfigError as error:
        lines = str(error).split("\n")
        assert len(lines) <= MAX_REPORTED + 1
        assert all(line.startswith(f"{_NAME}: ") and line.isprintable() for line in lines), lines
        assert all(len(line) <= MAX_LINE for line in lines)
        raise
    return True


EDITS: Final[Sequence[tuple[KeyPath, object]]] = (
    (("node", "name"), "beta"),
    (("sync", "period_s"), 7),
    (("failover", "fence"), ["/bin/true", "x y"]),
    (("folders", 0, "filters"), ["- *", "+ b"]),
    (("folders", 1, "path"), "/srv/\u00e9\n"),
    (("services", "unit", 0, "enabled"), False),
)


def edit_config(data: bytes) -> bool:
    """A configuration is edited; the first byte says where. What is asked for is there then."""
    if not data:
        return False
    path, value = EDITS[data[0] // 4 % len(EDITS)]
    text = data[1:].decode("utf-8", "replace")
    former = value_at(text, path)
    if former is None and value_at(text, path[:-1]) is None and len(path) > 2:
        return False  # there is no such table of an array
    if data[0] % 4 == 1 and former is not None:
        new = without(text, path)
        assert value_at(new, path) is None
        return True
    if data[0] % 4 == 2:
        new = with_table(text, ("folders",), {"name": "new", "path": "/srv/n"})
        assert len(new) > len(text)
        return True
    new = with_value(text, path, value)
    assert value_at(new, path) == value
    assert with_value(new, path, value) == new
    return True


def find_state(data: bytes) -> bool:
    """Where a node's state is, of a file that may have been broken since it was started."""
    path = scratch("sbs.toml", data)
    found = find_state_dir(path)
    assert os.path.isabs(found)
    assert "\0" not in found
    return True


def read_password(data: bytes) -> bool:
    """The first line of a password's file."""
    found = password._read(scratch("password", data))
    assert 0 < len(found.encode()) <= password.MAX_PASSWORD_BYTES
    assert "\n" not in found
    return True


def take_environment(data: bytes) -> bool:
    """What systemd says of itself: three variables, a line each."""
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    values = text_of(data.replace(b"\0", b"")).split("\n")
    environment = dict(zip(names, values, strict=False))
    supervisor = Supervisor.take(environment)
    assert not environment
    assert 0 <= supervisor.watchdog_s < float("inf")
    return supervisor.watchdog_s > 0


TARGETS: Final = (
    Target(
        name="config",
        run=read_config,
        allowed=(ConfigError,),
        form=Form.TEXT,
        tokens=_TOKENS,
        longest_bytes=16 * KIB,
        held_bytes=toml_bytes(16 * KIB),
        held_per_byte=2000,
        weight=8,
    ),
    Target(
        name="edit",
        run=edit_config,
        allowed=(ConfigError,),
        form=Form.TEXT,
        tokens=(*_TOKENS, b'"""', b"'''", b"# x", b"\r\n", b'"\\"', b"{a = 1}", b'"a"."b" = 1'),
        longest_bytes=4 * KIB,
        held_bytes=toml_bytes(4 * KIB),
        held_per_byte=2000,
        weight=4,
    ),
    Target(
        name="state-dir",
        run=find_state,
        allowed=(ConfigError,),
        form=Form.TEXT,
        tokens=_TOKENS,
        held_bytes=toml_bytes(4 * KIB),
        held_per_byte=2000,
    ),
    Target(name="password", run=read_password, allowed=(NotifyError,), weight=1),
    Target(
        name="environment",
        run=take_environment,
        form=Form.TEXT,
        tokens=(b"@", b"/run/x"),
        weight=1,
    ),
)
