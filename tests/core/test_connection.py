from __future__ import annotations

import itertools
import random
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core import messages as m
from sbs.core.claim import Claim, Mode, Pause, Role
from sbs.core.codec import encode
from sbs.core.connection import Connection, last_words
from sbs.core.epoch import Epoch
from sbs.core.frames import HEADER, PREAMBLE
from sbs.core.history import Generation, History
from sbs.core.legality import (
    ANSWERS,
    IN_SESSION,
    TRANSITIONS,
    Mark,
    Side,
    State,
    Word,
    step,
    word_of,
)
from sbs.core.testament import Fenced, PeerFencedError, Will
from sbs.errors import (
    EncryptedError,
    LocalProtocolError,
    RemoteProtocolError,
    SbsError,
    VersionError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL_PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"
DIALLER, ACCEPTOR = Side.DIALLER, Side.ACCEPTOR
EPOCH = Epoch(1, 0)
GENERATION = Generation(EPOCH, 1, b"d" * 32)
CLAIM = Claim(
    node_id="a" * 32,
    name="alpha",
    mode=Mode.SYMMETRIC,
    priority=100,
    slot=0,
    role=Role.PRIMARY,
    epoch=EPOCH,
    history=History(),
)
HELLO = m.Hello(versions=(1, 1), software="sbs", claim=CLAIM)
VISITOR = m.Hello(versions=(1, 1))

BY_LETTER: dict[str, m.Message] = {
    "H": HELLO,
    "V": VISITOR,
    "R": m.Refused(m.Code.BUSY, "later"),
    "b": m.Heartbeat(1),
    "F": m.Follow(EPOCH),
    "W": m.Welcome(EPOCH, History()),
    "S": m.Folders(EPOCH, ()),
    "l": m.Listing(folder=0),
    "L": m.Listing(folder=0, last=True),
    "o": m.Fragment(folder=0, path="f", size_bytes=1, digest=bytes(32)),
    "B": m.Begin(EPOCH, 1),
    "p": m.Pack(()),
    "c": m.Chunk(0),
    "t": m.Patch(stream=0, folder=0, path="f", digest=bytes(32), size_bytes=1),
    "C": m.Commit(generation=GENERATION, operations=0),
    "A": m.Abandon("stop"),
    "K": m.Committed(GENERATION),
    "N": m.Failed("disk full"),
    "X": m.Released(epoch=EPOCH, generation=None),
    "T": m.Taken(Epoch(2, 1)),
    "s": m.Serving(EPOCH),
    "q": m.AskLease(epoch=EPOCH, serial=1, hold_s=2.0),
    "g": m.GrantLease(1),
    "P": m.SetPause(Pause(1, on=True)),
    "w": Will(b"w" * 32),
    "D": Fenced(b"s" * 32),
    "f": m.Findings(findings=(), total=0),
    "u": m.Audit(0, ()),
    "U": m.Audited(()),
    "a": m.AskRole("full"),
}
LETTERS = {word_of(message): letter for letter, message in BY_LETTER.items()}

# A conversation that leads there (">" the dialler sends, "<" the acceptor), who is looked at, its
# state, and what it may send then: written down a second time, by letters, against slips.
START = ">H <H >F <W <S >L"
CASES = [
    ("", DIALLER, State.SILENT, "HVR"),
    ("", ACCEPTOR, State.SILENT, "HVRD"),
    ("<H", DIALLER, State.HEARD, "HVR"),
    ("<H", ACCEPTOR, State.GREETED, "R"),
    ("<D", ACCEPTOR, State.FENCED, ""),
    (">H <D", DIALLER, State.HELLO_SENT, "R"),
    ("<V", DIALLER, State.SILENT, "HVR"),
    ("<V", ACCEPTOR, State.VISITING, "R"),
    (">H", DIALLER, State.HELLO_SENT, "R"),
    (">H", ACCEPTOR, State.SILENT, "HVRD"),
    (">V <H", DIALLER, State.VISITING, "R"),
    (">V <H", ACCEPTOR, State.GREETED, "R"),
    (">H <V", DIALLER, State.HELLO_SENT, "R"),
    (">H <H", DIALLER, State.GREETED, "RF"),
    ("<H >H", DIALLER, State.GREETED, "RF"),
    (">H <H", ACCEPTOR, State.GREETED, "R"),
    (">H <H >R", DIALLER, State.REFUSED, ""),
    (">H <H <R", ACCEPTOR, State.REFUSED, ""),
    (">H <H <R", DIALLER, State.GREETED, "RF"),
    (">H <H >F", DIALLER, State.FOLLOWING, "Rb"),
    (">H <H >F", ACCEPTOR, State.ASKED, "RbW"),
    (">H <H >F <W", DIALLER, State.FOLLOWER, "RbgfUaP"),
    (">H <H >F <W", ACCEPTOR, State.LEADING, "RbSXqwsuP"),
    (">H <H >F <W <S", DIALLER, State.LISTING, "RbloLNgfUaP"),
    (">H <H >F <W <S >l", DIALLER, State.LISTING, "RbloLNgfUaP"),
    (">H <H >F <W <S >l", ACCEPTOR, State.AWAITING_LISTING, "RbXqwsuP"),
    (">H <H >F <W <S >N", DIALLER, State.DECLINED, "RbgfUaP"),
    (">H <H >F <W <S >N", ACCEPTOR, State.DECLINED, "RbSXqwsuP"),
    (">H <H >F <W <S >N <X", DIALLER, State.OFFERED, "RbTgfUaP"),
    (START, DIALLER, State.CURRENT, "RbgfUaP"),
    (START, ACCEPTOR, State.READY, "RbBXqwsuP"),
    (START + " <B <p <c", DIALLER, State.STAGING, "RbNgfUaP"),
    (START + " <B <p <c", ACCEPTOR, State.UPDATING, "RbpctCAqwsuP"),
    (START + " <B <C", DIALLER, State.STAGED, "RbKNgfUaP"),
    (START + " <B <C", ACCEPTOR, State.AWAITING_VERDICT, "RbXqwsuP"),
    (START + " <B <A", DIALLER, State.GIVEN_UP, "RbNgfUaP"),
    (START + " <B <A", ACCEPTOR, State.AWAITING_VERDICT, "RbXqwsuP"),
    (START + " <B >N <p <c", DIALLER, State.CURRENT, "RbgfUaP"),
    (START + " <B >N <p <c", ACCEPTOR, State.FAILED_EARLY, "RbpctCAqwsuP"),
    (START + " <B >N <A", ACCEPTOR, State.READY, "RbBXqwsuP"),
    (START + " <B <C >K", DIALLER, State.CURRENT, "RbgfUaP"),
    (START + " <B <C >K", ACCEPTOR, State.READY, "RbBXqwsuP"),
    (START + " <B <C >N <B <C >K", ACCEPTOR, State.READY, "RbBXqwsuP"),
    (">H <H >F <W <X", DIALLER, State.OFFERED, "RbTgfUaP"),
    (">H <H >F <W <X", ACCEPTOR, State.RELEASED, "Rb"),
    (">H <H >F <W <S <X", DIALLER, State.OFFERED_LISTING, "RbloLNTgfUaP"),
    (">H <H >F <W <S <X >N", DIALLER, State.OFFERED, "RbTgfUaP"),
    (">H <H >F <W <S <X >L", DIALLER, State.OFFERED, "RbTgfUaP"),
    (START + " <B <C <X", DIALLER, State.OFFERED_STAGED, "RbKNgfUaP"),
    (START + " <B <C <X >K", DIALLER, State.OFFERED, "RbTgfUaP"),
    (START + " <B <A <X", DIALLER, State.OFFERED_GIVEN_UP, "RbNgfUaP"),
    (START + " <X >T", DIALLER, State.TAKEN, "RbgfUaP"),
    (START + " <X >T", ACCEPTOR, State.RELEASED, "Rb"),
]


class Pair:
    """Two connected ends; what one sends the other has received."""

    def __init__(self, script: str = "", versions: tuple[int, int] = (1, 1)) -> None:
        self.ends = {side: Connection(side, HELLO) for side in Side}
        for step_ in script.split():
            self.say(DIALLER if step_[0] == ">" else ACCEPTOR, BY_LETTER[step_[1]])

    def say(self, side: Side, message: m.Message) -> None:
        if isinstance(message, m.Hello):
            self.ends[side].hello = message
        data = self.ends[side].send(message)
        assert self.ends[side.other].receive(data) == [message]


@pytest.mark.parametrize(("script", "side", "state", "legal"), CASES)
def test_each_message_is_legal_or_not_for_writer_and_reader_alike(
    script: str, side: Side, state: State, legal: str
) -> None:
    for letter, message in BY_LETTER.items():
        pair = Pair(script)
        writer, reader = pair.ends[side], pair.ends[side.other]
        assert (writer.state, reader.peer_state) == (state, state)
        preamble = PREAMBLE if state in (State.SILENT, State.HEARD) else b""
        if isinstance(message, m.Hello):
            writer.hello = message
        if letter in legal:
            assert writer.send(message) == preamble + encode(message)
            assert reader.receive(preamble + encode(message)) == [message]
            assert writer.state == reader.peer_state
            assert writer.peer_state == reader.state
        else:
            text = f"the {side.value} may not send .* in state {state.value}; allowed: "
            with pytest.raises(LocalProtocolError, match=text):
                writer.send(message)
            with pytest.raises(RemoteProtocolError, match=text):
                reader.receive(preamble + encode(message))


def test_the_cases_cover_every_state_of_the_table() -> None:
    seen = {(side, state) for _, side, state, _ in CASES}
    assert seen == {(side, state) for side, table in TRANSITIONS.items() for state in table}
    for _, side, state, legal in CASES:
        assert {LETTERS[word] for word in TRANSITIONS[side][state]} == set(legal)


def test_the_documented_tables_are_those_of_the_code() -> None:
    def shown(words: Mapping[Word, State], state: State, side: Side) -> str:
        names = ["*session*"] if set(IN_SESSION[side]) <= words.keys() else []
        for word, after in words.items():
            if word in IN_SESSION[side]:
                continue
            name = word.value if isinstance(word, Mark) else word.__name__
            if word is not m.Refused:
                names.append(name if after is state else f"{name} → {after.value}")
        return ", ".join(names) or "-"

    for side, table in TRANSITIONS.items():
        rows = [
            f"| {state.value} | {shown(words, state, side)} | "
            f"{shown(ANSWERS[side].get(state, {}), state, side)} |\n"
            for state, words in table.items()
        ]
        assert "".join(rows) in PROTOCOL_PAGE.read_text("utf-8")


def test_a_message_never_forbids_the_other_side_what_was_legal() -> None:
    for side, answers in ANSWERS.items():
        for state, words in answers.items():
            for after in words.values():
                forbidden = TRANSITIONS[side][state].keys() - TRANSITIONS[side][after].keys()
                assert not forbidden, (side, state, after)


Queue: TypeAlias = tuple[Word, ...]
Here: TypeAlias = tuple[State, State]
"""The dialler's and the acceptor's state as one end sees them."""


def follow_up(here: Here, sender: Side, word: Word) -> Here:
    states = step({DIALLER: here[0], ACCEPTOR: here[1]}, sender, word)
    assert states is not None, f"{word} of the {sender.value} arrives in {here}"
    return states[DIALLER], states[ACCEPTOR]


def distinct(side: Side, state: State) -> list[Word]:
    """What may be said; of what a session allows, which is alike everywhere, the first."""
    return [word for word in TRANSITIONS[side][state] if word not in IN_SESSION[side][1:]]


def successors(
    place: tuple[Here, Here, Queue, Queue], in_flight: int
) -> list[tuple[Here, Here, Queue, Queue]]:
    at_dialler, at_acceptor, rightward, leftward = place
    found: list[tuple[Here, Here, Queue, Queue]] = []
    if len(rightward) < in_flight:
        for word in distinct(DIALLER, at_dialler[0]):
            after = follow_up(at_dialler, DIALLER, word)
            found.append((after, at_acceptor, (*rightward, word), leftward))
    if len(leftward) < in_flight:
        for word in distinct(ACCEPTOR, at_acceptor[1]):
            after = follow_up(at_acceptor, ACCEPTOR, word)
            found.append((at_dialler, after, rightward, (*leftward, word)))
    if rightward:
        after = follow_up(at_acceptor, DIALLER, rightward[0])
        found.append((at_dialler, after, rightward[1:], leftward))
    if leftward:
        after = follow_up(at_dialler, ACCEPTOR, leftward[0])
        found.append((after, at_acceptor, rightward, leftward[1:]))
    return found


def test_what_was_legal_when_sent_is_legal_when_it_arrives_in_all_crossings() -> None:
    silent = (State.SILENT, State.SILENT)
    start: tuple[Here, Here, Queue, Queue] = (silent, silent, (), ())
    seen, todo = {start}, deque([start])
    while todo:
        place = todo.popleft()
        at_dialler, at_acceptor, rightward, leftward = place
        if not rightward and not leftward:
            assert at_dialler == at_acceptor, "both ends agree once nothing is in flight"
        for after in successors(place, in_flight=3):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    assert {state for (state, _), _, _, _ in seen} == TRANSITIONS[DIALLER].keys()
    assert {state for _, (_, state), _, _ in seen} == TRANSITIONS[ACCEPTOR].keys()


def test_hellos_are_exchanged_with_preamble_and_kept() -> None:
    dialler, acceptor = Connection(DIALLER, HELLO), Connection(ACCEPTOR, HELLO)
    assert (dialler.peer, dialler.version) == (None, None)
    assert acceptor.receive(dialler.open()) == [HELLO]
    assert dialler.receive(acceptor.open()) == [HELLO]
    assert (dialler.peer, dialler.version) == (HELLO, 1)
    assert (acceptor.peer, acceptor.version) == (HELLO, 1)
    assert (dialler.state, dialler.peer_state) == (State.GREETED, State.GREETED)


def test_open_twice_is_an_error_of_the_caller() -> None:
    connection = Connection(DIALLER, HELLO)
    connection.open()
    with pytest.raises(LocalProtocolError, match="may not send Hello in state hello-sent"):
        connection.open()


def test_another_hello_than_its_own_is_not_sent() -> None:
    with pytest.raises(LocalProtocolError, match=r"open\(\) sends it"):
        Connection(DIALLER, HELLO).send(VISITOR)


def test_refusing_before_the_own_hello_sends_the_preamble_too() -> None:
    acceptor, dialler = Connection(ACCEPTOR, HELLO), Connection(DIALLER, HELLO)
    refusal = m.Refused(m.Code.BUSY, "16 connections; at most 16 are allowed")
    assert dialler.receive(acceptor.send(refusal)) == [refusal]
    assert dialler.peer is None


@pytest.mark.parametrize(
    ("ours", "theirs", "version"),
    [
        ((1, 1), (1, 1), 1),
        ((1, 3), (2, 9), 3),
        ((2, 9), (1, 3), 3),
        ((4, 4), (1, 9), 4),
        ((1, 1), (2, 3), None),
        ((2, 3), (1, 1), None),
    ],
)
def test_highest_common_version_is_spoken(
    ours: tuple[int, int], theirs: tuple[int, int], version: int | None
) -> None:
    here = Connection(ACCEPTOR, attrs.evolve(HELLO, versions=ours))
    there = Connection(DIALLER, attrs.evolve(HELLO, versions=theirs))
    if version is None:
        text = f"this side speaks {ours[0]} to {ours[1]}, the other {theirs[0]} to {theirs[1]}"
        with pytest.raises(VersionError, match=text):
            here.receive(there.open())
    else:
        here.receive(there.open())
    assert here.version == version


def test_version_is_refused_before_the_rest_of_hello_is_understood() -> None:
    data = encode(HELLO).replace(b"symmetric", b"quantised")
    data = data.replace(b"versions\x92\x01\x01", b"versions\x92\x02\x03")
    with pytest.raises(VersionError, match="the other 2 to 3"):
        Connection(ACCEPTOR, HELLO).receive(PREAMBLE + data)


def test_after_a_version_error_one_refusal_may_be_sent_and_nothing_else() -> None:
    acceptor = Connection(ACCEPTOR, HELLO)
    dialler = Connection(DIALLER, attrs.evolve(HELLO, versions=(2, 2)))
    acceptor.open()
    with pytest.raises(VersionError):
        acceptor.receive(dialler.open())
    for call in (
        lambda: acceptor.send(m.Heartbeat(1)),
        lambda: acceptor.receive(b""),
        acceptor.receive_eof,
    ):
        with pytest.raises(VersionError, match="no protocol version in common"):
            call()
    refusal = m.Refused(m.Code.VERSION, "speaks 1")
    assert acceptor.send(refusal) == encode(refusal)
    with pytest.raises(LocalProtocolError, match="may not send Refused in state refused"):
        acceptor.send(refusal)
    with pytest.raises(VersionError):
        acceptor.receive(b"")


def test_error_of_the_caller_is_final_too() -> None:
    connection = Connection(DIALLER, HELLO)
    with pytest.raises(LocalProtocolError, match="may not send Taken in state silent") as first:
        connection.send(m.Taken(EPOCH))
    with pytest.raises(LocalProtocolError) as second:
        connection.open()
    assert str(second.value) == str(first.value)
    assert second.value.__cause__ is first.value


def test_no_message_is_handed_out_of_data_with_an_error_in_it() -> None:
    pair = Pair(">H <H >F")
    data = encode(m.Heartbeat(1)) + encode(m.Committed(GENERATION))
    with pytest.raises(RemoteProtocolError, match="may not send Committed in state following"):
        pair.ends[ACCEPTOR].receive(data)


def test_stranger_may_not_send_a_large_frame() -> None:
    header = HEADER.pack(65537, 1 << 24 | 65537)
    with pytest.raises(RemoteProtocolError, match="head of 65537 bytes; at most 65536"):
        Connection(ACCEPTOR, HELLO).receive(PREAMBLE + header)


def test_large_frames_are_taken_after_hello_also_in_the_same_data() -> None:
    pair = Pair(START + " <B")
    chunk = m.Chunk(0, bytes(m.MAX_BODY_BYTES))
    pair.say(ACCEPTOR, chunk)
    acceptor = Connection(ACCEPTOR, HELLO)
    with pytest.raises(RemoteProtocolError, match="the dialler may not send Chunk in state hello"):
        acceptor.receive(PREAMBLE + encode(HELLO) + encode(chunk))


CONVERSATION = [
    BY_LETTER[step_[1]]
    for step_ in (START + " <B <p <b <c <C >K <B <A >N <b <X").split()
    if step_[0] == "<"
]


def replay(pieces: list[bytes]) -> list[m.Message]:
    """Feed the acceptor's half of the conversation; answer as the dialler does."""
    dialler = Connection(DIALLER, HELLO)
    dialler.open()
    messages: list[m.Message] = []
    for piece in pieces:
        for message in dialler.receive(piece):
            messages.append(message)
            for answer in {
                m.Hello: [BY_LETTER["F"]],
                m.Folders: [BY_LETTER["L"]],
                m.Commit: [BY_LETTER["K"]],
                m.Abandon: [BY_LETTER["N"]],
            }.get(type(message), []):
                dialler.send(answer)
    dialler.receive_eof()
    return messages


BYTES = [PREAMBLE + encode(HELLO), *map(encode, CONVERSATION[1:])]


def test_conversation_is_understood_byte_by_byte() -> None:
    assert replay([bytes([byte]) for byte in b"".join(BYTES)]) == CONVERSATION


@given(st.lists(st.integers(min_value=0, max_value=200), max_size=20))
def test_conversation_does_not_depend_on_how_its_frames_are_cut(cuts: list[int]) -> None:
    pieces: list[bytes] = []
    for whole in BYTES:
        bounds = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
        pieces += [whole[a:b] for a, b in itertools.pairwise(bounds)]
    assert replay(pieces) == CONVERSATION


def test_end_of_stream_is_clean_between_frames_and_an_error_within_one() -> None:
    """A cut is never mistaken for a closed connection."""
    data = PREAMBLE + encode(HELLO)
    for size in range(len(data) + 1):
        connection = Connection(ACCEPTOR, HELLO)
        connection.receive(data[:size])
        if size in (0, len(PREAMBLE), len(data)):
            connection.receive_eof()
            with pytest.raises(LocalProtocolError, match="after the end of the stream"):
                connection.receive(b"x")
        else:
            where = "the preamble" if size < len(PREAMBLE) else "a frame"
            for _ in range(2):
                with pytest.raises(RemoteProtocolError, match=f"cut in the middle of {where}"):
                    connection.receive_eof()


def test_conversation_cut_anywhere_gives_its_messages_then_an_error() -> None:
    for whole in BYTES[1:]:
        frames = list(BYTES[: BYTES.index(whole)])
        for size in range(1, len(whole)):
            with pytest.raises(RemoteProtocolError, match="in the middle of a frame"):
                replay([*frames, whole[:size]])


def test_mutated_conversations_end_in_order_or_in_an_sbs_error() -> None:
    """3000 seeded mutations of a stranger's bytes: nothing but protocol errors comes out."""
    rng = random.Random(4445)
    hello = attrs.evolve(HELLO, versions=(1, 100))
    data = PREAMBLE + encode(hello) + encode(BY_LETTER["F"]) + encode(BY_LETTER["b"])
    outcomes: dict[type[object], int] = {}
    for _ in range(3000):
        mutated = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        del mutated[rng.randint(len(mutated) // 2, 2 * len(mutated)) :]
        acceptor = Connection(ACCEPTOR, HELLO)
        acceptor.open()
        outcome: type[object] = Connection
        try:
            acceptor.receive(bytes(mutated))
            acceptor.receive_eof()
        except SbsError as error:
            outcome = type(error)
            acceptor.send(m.Refused(m.Code.PROTOCOL, str(error)[: m.MAX_TEXT]))
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert outcomes.keys() <= {Connection, RemoteProtocolError, EncryptedError, VersionError}
    assert len(outcomes) == 4


def test_sides_are_each_others_other() -> None:
    assert (DIALLER.other, ACCEPTOR.other) == (ACCEPTOR, DIALLER)
    assert word_of(VISITOR) is Mark.VISIT


def test_a_testament_is_all_that_its_reader_gets() -> None:
    """B31: instead of a Hello."""
    reader = Connection(DIALLER, HELLO)
    assert reader.receive(last_words(b"s" * 32)) == [Fenced(b"s" * 32)]
    assert reader.peer is None
    assert reader.peer_state is State.FENCED
    with pytest.raises(ValueError, match="'secret' must be 32 bytes, not 3"):
        Fenced(b"abc")


def test_the_error_of_a_dead_peer_has_its_secret() -> None:
    """B31: it says what has happened, for `sbs probe`."""
    error = PeerFencedError(b"s" * 32)
    assert error.secret == b"s" * 32
    assert "its fencer has ended the services" in str(error)
