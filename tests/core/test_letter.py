"""A notice in words: R51, B50. ``python -m tests.core.test_letter`` writes the golden files."""

from __future__ import annotations

import html.parser
from pathlib import Path

import attrs
import pytest

from sbs.core.alarm import ALARMS, Alarm
from sbs.core.effects import Via
from sbs.core.epoch import Epoch
from sbs.core.letter import MAX_SUBJECT_CHARS, write
from sbs.core.notice import (
    MAX_AT,
    MAX_ID_CHARS,
    MAX_OFFSET_S,
    MAX_TEXT_CHARS,
    MIN_AT,
    Kind,
    Notice,
    alarm_id,
    brief,
    kind_of,
    primacy_id,
)

NAN = float("nan")
GOLDEN = Path(__file__).with_name("letters")
NODE_ID = "0123456789abcdef" * 2
AT = 1_769_825_562.0

TAKEOVER = Notice(
    id=primacy_id(Kind.TAKEOVER, NODE_ID, Epoch(4, 1)),
    kind=Kind.TAKEOVER,
    at=AT,
    utc_offset_s=3600,
    node="beta",
    peer="alpha",
    config="/etc/sbs/beta node.toml",
    role="primary",
    epoch="4.1",
    why=Via.SILENCE.value,
    heard_at=AT - 2.1,
    outage_s=2.44,
    generation=12,
    updated_at=AT - 75,
    services=("printer-1", "printer-2"),
    started=True,
)
ALARM = attrs.evolve(
    TAKEOVER,
    id=alarm_id(Alarm.PRIMARY_LOST, NODE_ID, AT),
    kind=Kind.URGENT,
    code="primary-lost",
    role="waiting",
    why="alpha does not answer; if it is certainly off: sbs takeover --force",
    heard_at=None,
    outage_s=None,
)

LETTERS = {
    "takeover": TAKEOVER,
    "takeover-failed": attrs.evolve(
        TAKEOVER,
        failed="printer-2: cannot be started: No such file or directory",
        outage_s=754.0,
        updated_at=None,
        problems=("alarm quarantine: 2 files lie in quarantine",),
    ),
    "takeover-begun": attrs.evolve(
        TAKEOVER,
        started=False,
        outage_s=None,
        heard_at=None,
        peer="",
        config="",
        why="",
        services=(),
    ),
    "handover": attrs.evolve(
        TAKEOVER, kind=Kind.HANDOVER, why=Via.RELEASED.value, heard_at=None, outage_s=None
    ),
    "restart": attrs.evolve(
        TAKEOVER, kind=Kind.RESTART, why=Via.RESUMED.value, heard_at=None, outage_s=None
    ),
    "recovery": attrs.evolve(TAKEOVER, kind=Kind.RECOVERY, why="", heard_at=None, outage_s=None),
    "urgent": ALARM,
    "alarm": attrs.evolve(
        ALARM, kind=Kind.ALARM, code="update-held", why="folder data: 2 of 3 files", role="primary"
    ),
    "test": Notice(
        id="test.1", kind=Kind.TEST, at=AT, node="alpha", peer="127.0.0.1:4446", why="sbs mail test"
    ),
    # Whatever comes from others is shown, and obeyed by nothing.
    "hostile": attrs.evolve(
        TAKEOVER,
        node="b\x1b[2Jeta",
        peer="<b>alpha</b>",
        config="/etc/$(reboot)\n.toml",
        services=("<script>alert(1)</script>", "a\r\nBcc: x@example.org"),
        failed="lp\udcff: \u202eexe.txt",
        outage_s=90_000.0,
    ),
}


def shown(notice: Notice) -> str:
    letter = write(notice)
    return f"Subject: {letter.subject}\n\n{letter.text}\n----\n{letter.html}"


@pytest.mark.parametrize("name", LETTERS)
def test_the_letter_is_the_golden_one(name: str) -> None:
    """R51, B50"""
    assert shown(LETTERS[name]) == (GOLDEN / f"{name}.txt").read_text("utf-8")


@pytest.mark.parametrize("name", LETTERS)
def test_a_letter_is_printable_and_its_html_is_whole(name: str) -> None:
    letter = write(LETTERS[name])
    assert letter.subject.isprintable()
    assert all(line.isprintable() for line in f"{letter.text}{letter.html}".splitlines())
    assert _Tags.unclosed(letter.html) == []
    for fact in letter.facts:
        assert all(fact)


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    @classmethod
    def unclosed(cls, text: str) -> list[str]:
        parser = cls()
        parser.feed(text)
        return parser.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in {
            *("html", "head", "title", "body", "p", "b", "table", "tr", "td", "ol", "li", "code"),
            *("meta", "br"),
        }
        assert not {name for name, _ in attributes} & {"src", "href", "onclick"}
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_shows_such_a_letter() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mail.md").read_text("utf-8")
    assert write(attrs.evolve(TAKEOVER, config="/etc/sbs/sbs.toml")).text in page


def test_the_longest_texts_are_cut() -> None:
    letter = write(
        attrs.evolve(TAKEOVER, node="n" * 64, peer="p" * 5000, why="w" * 5000, problems=("x",) * 99)
    )
    assert len(letter.subject) == MAX_SUBJECT_CHARS
    assert len(letter.text) < 20_000
    assert sum(label == "Also" for label, _ in letter.facts) == 10
    assert brief("a" * MAX_TEXT_CHARS) == "a" * MAX_TEXT_CHARS
    assert brief("a" * (MAX_TEXT_CHARS + 1)).endswith("a...")


def test_every_beginning_of_a_primacy_is_known() -> None:
    """R51: which of them are mailed."""
    kinds = {via: kind_of(via) for via in Via}
    assert [via for via, kind in kinds.items() if kind is None] == [Via.DIRECT, Via.FOLLOWED]
    assert {via for via, kind in kinds.items() if kind is Kind.TAKEOVER} == {
        *(via for via in Via if via.unasked),
        Via.YIELDED,
        Via.FORCED,
    }


def test_a_takeover_is_worth_more_than_what_is_optional() -> None:
    """B50: what is given up first where there is no room."""
    ranks = {kind: kind.rank for kind in Kind}
    least = min(ranks.values())
    assert {kind for kind, rank in ranks.items() if rank == least} == {Kind.TAKEOVER, Kind.URGENT}
    assert ranks[Kind.ALARM] == max(ranks.values())


def test_ids_are_of_events_and_fit_a_file_s_name() -> None:
    """B50: one event, one id."""
    one, other = Epoch(4, 1), Epoch(2**62 - 1, 1)
    assert primacy_id(Kind.TAKEOVER, NODE_ID, one) != primacy_id(Kind.TAKEOVER, NODE_ID, other)
    assert alarm_id(Alarm.NO_VOTE, NODE_ID, AT) != alarm_id(Alarm.NO_VOTE, NODE_ID, AT + 0.001)
    for notice_id in (
        primacy_id(Kind.TAKEOVER, NODE_ID, other),
        alarm_id(max(Alarm, key=len), NODE_ID, AT),
    ):
        assert attrs.evolve(TAKEOVER, id=notice_id).id == notice_id
    for wrong in ("", "../x", "a/b", "A", "a\n", "a" * (MAX_ID_CHARS + 1)):
        with pytest.raises(ValueError, match="'id' must match regex"):
            attrs.evolve(TAKEOVER, id=wrong)


@pytest.mark.parametrize("field", ["at", "heard_at", "outage_s", "updated_at"])
@pytest.mark.parametrize("value", [NAN, float("inf"), MAX_AT * 2, MIN_AT - 1])
def test_a_moment_that_cannot_be_written_is_none(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"'{field}' must be"):
        attrs.evolve(TAKEOVER, **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [MIN_AT, MAX_AT])
@pytest.mark.parametrize("offset_s", [-MAX_OFFSET_S, MAX_OFFSET_S])
def test_the_first_and_the_last_moment_can_be_written(at: float, offset_s: int) -> None:
    moments = attrs.evolve(TAKEOVER, at=at, heard_at=at, updated_at=at, utc_offset_s=offset_s)
    assert write(moments).text
    with pytest.raises(ValueError, match="'utc_offset_s' must be"):
        attrs.evolve(TAKEOVER, utc_offset_s=2 * offset_s)


def test_an_alarm_says_what_to_do_and_one_of_another_release_where_to_look() -> None:
    for alarm, said in ALARMS.items():
        letter = shown(attrs.evolve(ALARM, code=alarm))
        assert f"{said.remedy.replace('`', '')} What the alarm {alarm} means: docs/" in letter
    assert "3. What the alarm new-one means: docs/" in shown(attrs.evolve(ALARM, code="new-one"))


if __name__ == "__main__":
    for name, notice in LETTERS.items():
        (GOLDEN / f"{name}.txt").write_text(shown(notice), "utf-8")


def test_people_may_have_to_act_at_once_on_two_kinds() -> None:
    """B50: these wait for nothing that failed before them, and give way last."""
    assert {kind for kind in Kind if kind.pressing} == {Kind.TAKEOVER, Kind.URGENT}
