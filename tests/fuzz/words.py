"""Texts of others: paths, filters, names that are one, addresses; and how people see texts."""

from __future__ import annotations

import email
import email.policy
import itertools
import os
import posixpath
import tomllib
import unicodedata
from html.parser import HTMLParser
from typing import Final

from sbs.adapters.notifiers.message import make_message
from sbs.adapters.services.systemd.names import full_name
from sbs.config.endpoints import Endpoint
from sbs.config.text import quoted
from sbs.core.address import Address
from sbs.core.filters import Filter
from sbs.core.folding import Folding
from sbs.core.guard import Limit
from sbs.core.letter import write
from sbs.core.manifest import MAX_NAME_BYTES, MAX_PATH_BYTES, STAGING_NAME, check_path
from sbs.core.notice import Kind, Notice
from sbs.core.printable import plain
from sbs.errors import ServiceError
from sbs.replication.former.past import Mark
from tests.core.filter_reference import MalformedError, decide
from tests.fuzz.contract import KIB, MIB, Form, Target, text_of

DEEP: Final = 64
"""Directories above a path, beyond which they are not looked at each by itself, as
:meth:`~sbs.core.filters.Filter.explain` does: it may take 5 ms for each."""

REFERENCE_CHARACTERS: Final = 60
"""Of rules and paths up to which the slow reference is asked, too."""


def take_path(data: bytes) -> bool:
    """A path of the peer's: what is allowed stays below the folder, and fits on a disk."""
    path = check_path(text_of(data))
    raw = os.fsencode(path)
    assert posixpath.normpath(path) == path
    assert not path.startswith("/")
    assert path != STAGING_NAME
    assert not path.startswith((f"{STAGING_NAME}/", "../"))
    assert b"\0" not in raw
    assert 0 < len(raw) <= MAX_PATH_BYTES
    assert max(map(len, raw.split(b"/"))) <= MAX_NAME_BYTES
    return True


def filter_paths(data: bytes) -> bool:
    """Rules, a line each, an empty line, and paths: any takes a moment, and means what it says."""
    first, _, second = text_of(data).partition("\n\n")
    rules, paths = first.split("\n"), second.split("\n")
    compiled = Filter.parse(rules)
    for path, is_directory in itertools.product(paths[:4], (True, False)):
        if not path or "//" in f"/{path}/":
            continue
        deep = path.count("/") > DEEP
        decision = (compiled.decide if deep else compiled.explain)(path, is_directory)
        assert decision.rule == (rules[decision.number - 1] if decision.number else "")
        if len(first) + len(path) <= REFERENCE_CHARACTERS:
            expected = decide(rules, path, is_directory)
            assert (decision.included, decision.number) == expected
    return True


def refuse_rules(data: bytes) -> bool:
    """The reference and SBS refuse the same rules."""
    rules = text_of(data).split("\n")[:4]
    try:
        Filter.parse(rules)
    except ValueError:
        if sum(map(len, rules)) <= REFERENCE_CHARACTERS:
            try:
                decide(rules, "a", False)
            except MalformedError:
                pass
            else:
                raise AssertionError("a rule is refused that means something") from None
        raise
    decide(rules, "a", False)
    return True


def fold_names(data: bytes) -> bool:
    """Names, a line each: those that are one by a rule are one by every wider one."""
    names = text_of(data).split("\n")[:16]
    for name in names:
        keys = {folding: folding.key(name) for folding in Folding}
        assert keys[Folding.NONE] == name
        assert all(len(key) <= 24 * len(name) for key in keys.values())
        for folding in (Folding.CASE, Folding.BOTH):
            assert folding.key(name.upper()) == folding.key(name.upper().upper())
    for one, other in itertools.combinations(names, 2):
        for narrow in (Folding.CASE, Folding.UNICODE):
            if narrow is Folding.UNICODE and _has_iota(one):
                continue
            if narrow.key(one) == narrow.key(other):
                assert Folding.BOTH.key(one) == Folding.BOTH.key(other), (one, other)
    for folding in Folding:
        left_out = folding.clashes(names, lambda: ())
        assert all(folding.key(one) == folding.key(other) for one, other in left_out.items())
    return bool(names)


def _has_iota(name: str) -> bool:
    """Whether it has U+0345, a mark that composing moves and that folding makes a letter.

    Whoever folds first, as ext4 does, has two names where whoever composes first has one.
    """
    return "\u0345" in unicodedata.normalize("NFD", name)


def take_address(data: bytes) -> bool:
    """An address in text."""
    address = Address.parse(text_of(data))
    assert Address.parse(str(address)) == address
    assert plain(str(address)) == str(address)
    return True


def take_endpoint(data: bytes) -> bool:
    """The address of a service of HTTP: canonical once it was read."""
    endpoint = Endpoint().read(text_of(data))
    assert Endpoint().read(endpoint) == endpoint
    return True


def take_limit(data: bytes) -> bool:
    """A limit of deletes."""
    limit = Limit.parse(text_of(data))
    return not limit.exceeded(0, 0)


def take_mark(data: bytes) -> bool:
    """The name of a directory of versions."""
    mark = Mark.parse(text_of(data))
    if mark is None:
        return False
    assert "/" not in mark.name
    assert mark.number >= 0
    return bool(str(mark))


def take_unit(data: bytes) -> bool:
    """The name of a unit."""
    name = full_name(text_of(data))
    assert plain(name) == name
    assert "/" not in name
    return full_name(name) == name


def show_text(data: bytes) -> bool:
    """A text of others in a terminal, a log and a configuration: one line that nothing obeys."""
    text = text_of(data)
    for shown in (plain(text), quoted(text)):
        assert shown.isprintable()
        assert len(shown.splitlines()) <= 1
    if "\udc80" <= max(text, default="") <= "\udcff":
        return True  # TOML has no form for what is not UTF-8
    if not any("\ud800" <= each <= "\udfff" for each in text):
        assert tomllib.loads(f"x = {quoted(text)}")["x"] == text
    return bool(text)


class _Tags(HTMLParser):
    """Collects which elements a document has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        assert {name for name, _ in attrs} <= {"style", "charset", "lang", "name", "content"}


def _notice(texts: list[str]) -> Notice:
    one, two, three = (texts * 3)[:3]
    kind = [*Kind][len(texts) % len(Kind)]
    return Notice(
        id="alarm.x.1",
        kind=kind,
        at=1_763_845_200.0,
        node=one,
        peer=two,
        config=three,
        why=one,
        code=two,
        failed=three,
        services=tuple(texts),
        problems=tuple(texts),
    )


def write_letter(data: bytes) -> bool:
    """A mail with texts of others, a line each: no header, receiver or element comes of them."""
    notice = _notice(text_of(data).split("\n"))
    letter = write(notice)
    assert letter.subject.isprintable()
    tags = _Tags()
    tags.feed(letter.html)
    plain_tags = _Tags()
    plain_tags.feed(write(_notice(["a"] * len(notice.problems))).html)
    assert tags.found <= plain_tags.found
    raw = make_message(notice, "sbs@example.org", ["ops@example.org"])
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message["To"] == "ops@example.org"
    assert message["From"] == "SBS <sbs@example.org>"
    assert sorted(message.keys()) == sorted(set(message.keys()))
    assert set(message.keys()) <= _HEADERS, message.keys()
    return True


_HEADERS: Final = {
    "Subject",
    "From",
    "To",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-SBS-Notice",
    "Importance",
    "MIME-Version",
    "Content-Type",
}
_GLOB: Final = (
    *(b"*", b"?", b"**/", b"/**", b"[", b"]", b"[!", b"[a-", b"\\", b"/", b"+ ", b"- ", b"[]-a]"),
    *(b"*a*a*a*a*a*a*a*", b"**/a/**/a/**/", b"- **/*a*/**/b*", b"[[:", b"&&", b"||", b"~~", b"--"),
)

TARGETS: Final = (
    Target(
        name="path",
        run=take_path,
        allowed=(ValueError,),
        form=Form.TEXT,
        tokens=(b"..", b"/", b".", b".sbs.staging", b"/../", b"//", b"\xff", b"\0"),
        longest_bytes=6 * KIB,
    ),
    Target(
        name="filter",
        run=filter_paths,
        allowed=(ValueError,),
        form=Form.TEXT,
        tokens=_GLOB,
        longest_bytes=6 * KIB,
        held_bytes=8 * MIB,
        weight=8,
    ),
    Target(
        name="rules",
        run=refuse_rules,
        allowed=(ValueError,),
        form=Form.TEXT,
        tokens=_GLOB,
        longest_bytes=200,
        weight=4,
    ),
    Target(
        name="folding",
        run=fold_names,
        form=Form.TEXT,
        tokens=tuple(each.encode() for each in "ßẞİıſΣςé\u0301\u200d\ufe0fǰᾼﬃ\u0345\u1e9b\uac00"),
        longest_bytes=500,
    ),
    Target(
        name="address",
        run=take_address,
        allowed=(ValueError,),
        form=Form.TEXT,
        tokens=(b"[", b"]", b":", b"::1", b"%eth0", b"65535", b"127.0.0.1"),
    ),
    Target(
        name="endpoint",
        run=take_endpoint,
        allowed=(ValueError,),
        form=Form.TEXT,
        tokens=(b"http://", b"https://", b"[", b"]", b":", b"::1", b"%", b"/", b"@", b"0x7f"),
    ),
    Target(
        name="limit",
        run=take_limit,
        allowed=(ValueError,),
        form=Form.TEXT,
        tokens=(b"%", b"off"),
        weight=1,
    ),
    Target(name="mark", run=take_mark, form=Form.TEXT, tokens=(b"-restore-", b".", b"-"), weight=1),
    Target(
        name="unit",
        run=take_unit,
        allowed=(ServiceError,),
        form=Form.TEXT,
        tokens=(b".service", b".socket", b"@", b"*", b"[", b"]", b"\\x2d"),
        weight=1,
    ),
    Target(
        name="shown",
        run=show_text,
        form=Form.TEXT,
        tokens=(b"\x1b[2J", b"\r", b"\xe2\x80\xae", b'"', b"\\", b"\x9b", b"\xc2\x9b"),
        weight=1,
    ),
    Target(
        name="letter",
        run=write_letter,
        form=Form.TEXT,
        tokens=(b"\r\nBcc: x@y", b"=?utf-8?q?=0d=0a?=", b"<img src=x>", b"&lt;", b'"', b"</p>"),
        held_bytes=4 * MIB,
        held_per_byte=2000,
    ),
)
