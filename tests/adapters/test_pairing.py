"""B62: what two nodes say while they are paired, and what a stranger can make of it."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import struct
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.adapters.transports import pairing
from sbs.adapters.transports.identity import Certificate, make_identity, parse_certificates
from sbs.adapters.transports.pairing import (
    CODE_DIGITS,
    MAX_CERTIFICATE_BYTES,
    Event,
    Identities,
    Pairing,
    Reason,
    Side,
    Word,
    new_code,
    parse_code,
)
from sbs.errors import (
    LocalProtocolError,
    PairingError,
    RemoteProtocolError,
    VersionError,
    WrongCodeError,
)

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CODE = "123456789"
GREETING_BYTES = 9
OPENING_BYTES = GREETING_BYTES + 32


def certificate(name: str) -> Certificate:
    return parse_certificates(make_identity(name, NOW).decode(), name)[0]


ALPHA, BETA, BETA_NEXT, EVE = map(certificate, ("alpha", "beta", "beta", "eve"))
ALPHAS = Identities(current=ALPHA, following=ALPHA)
BETAS = Identities(current=BETA, following=BETA_NEXT)
EVES = Identities(current=EVE, following=EVE)


def drip(seed: int) -> Callable[[int], bytes]:
    """Randomness that a test can repeat."""
    source = random.Random(seed)
    return source.randbytes


def both(code: str = CODE, other: str = CODE) -> tuple[Pairing, Pairing]:
    """A caller, beta, and one that waits, alpha."""
    caller = Pairing(Side.CALLER, code, BETAS, drip(1))
    return caller, Pairing(Side.WAITER, other, ALPHAS, drip(2))


class Tape:
    """Two ends and the line between them; notes what each was told, and says what is next."""

    def __init__(self, caller: Pairing, waiter: Pairing) -> None:
        self.ends = (caller, waiter)
        self.told: tuple[list[Event], list[Event]] = ([], [])
        self.sent: tuple[bytearray, bytearray] = (bytearray(), bytearray())

    def take(self, end: int) -> bytes:
        data = self.ends[end].outgoing()
        self.sent[end].extend(data)
        return data

    def give(self, end: int, data: bytes) -> None:
        for event in self.ends[end].receive(data):
            self.told[end].append(event)
            if event is not Word.DONE:
                self.ends[end].say(Word.DONE if event is Word.STORED else Word.STORED)

    def play(self, cut: Callable[[bytes], Iterable[bytes]] = lambda data: [data]) -> None:
        quiet = 0
        while quiet < 2:
            quiet = 0
            for end in (0, 1):
                data = self.take(end)
                quiet += not data
                for piece in cut(data) if data else ():
                    self.give(1 - end, piece)


def singly(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("cut", [lambda data: [data], singly], ids=["whole", "byte by byte"])
def test_both_learn_what_the_other_is_known_by(cut: Callable[[bytes], Iterable[bytes]]) -> None:
    tape = Tape(*both())
    tape.play(cut)
    assert tape.told == ([ALPHAS, Word.STORED, Word.DONE], [BETAS, Word.STORED, Word.DONE])
    assert all(end.has_ended and end.is_proven for end in tape.ends)


@given(st.randoms(use_true_random=False))
def test_it_does_not_matter_how_the_bytes_are_cut(chance: random.Random) -> None:
    def cut(data: bytes) -> list[bytes]:
        places = sorted(chance.choices(range(len(data) + 1), k=4))
        pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
        return [piece for piece in pieces if piece]

    tape = Tape(*both())
    tape.play(cut)
    assert tape.told == ([ALPHAS, Word.STORED, Word.DONE], [BETAS, Word.STORED, Word.DONE])


def test_the_same_randomness_says_the_same_bytes() -> None:
    """The layout of docs/protocol.md, once as a vector: who changes it changes the version."""
    tape = Tape(*both())
    tape.play()
    caller, waiter = map(bytes, tape.sent)
    assert caller[:GREETING_BYTES] == waiter[:GREETING_BYTES] == b"\x93SBP\r\n\x1a\n\x01"
    again = Tape(*both())
    again.play()
    assert (caller, waiter) == tuple(map(bytes, again.sent))
    # Elements of python-spake2 0.9 for this code and these scalars.
    assert hashlib.sha256(caller[:OPENING_BYTES] + waiter[:OPENING_BYTES]).hexdigest() == (
        "61713c25173934689a55e94cfcbabb45a0265dcad3900abd1a7794f72ab045b5"
    )
    ders = BETA.der, BETA_NEXT.der
    body = b"".join(struct.pack(">H", len(der)) + der for der in ders)
    assert caller[OPENING_BYTES:].startswith(struct.pack(">BH", 1, len(body)) + body)
    assert len(caller) == OPENING_BYTES + (3 + len(body) + 32) + (3 + 32) * 2
    assert [caller[-70:-67], caller[-35:-32]] == [b"\x02\x00\x00", b"\x03\x00\x00"]


def test_a_wrong_code_is_seen_first_by_the_side_that_counts() -> None:
    """The caller proves first; the waiting side gives away nothing that a guess can be held to."""
    caller, waiter = both(CODE, "123456780")
    waiter.receive(caller.outgoing())
    caller.receive(waiter.outgoing())
    assert waiter.has_guess
    with pytest.raises(WrongCodeError, match="the codes differ"):
        waiter.receive(caller.outgoing())
    assert not waiter.is_proven
    answer = waiter.outgoing()
    assert answer == bytes([4, 0, 1, Reason.WRONG_CODE])
    with pytest.raises(WrongCodeError, match="the code is wrong; use the one"):
        caller.receive(answer)
    with pytest.raises(WrongCodeError):
        caller.receive(b"more")


def test_who_does_not_know_the_code_hears_an_element_and_nothing_else() -> None:
    _, waiter = both()
    waiter.receive(Pairing(Side.CALLER, "000000000", EVES).outgoing())
    assert len(waiter.outgoing()) == OPENING_BYTES
    with pytest.raises(WrongCodeError):
        waiter.receive(b"\x01\x00\x00" + bytes(32))
    assert waiter.outgoing() == bytes([4, 0, 1, Reason.WRONG_CODE])


def test_somebody_in_between_with_another_code_is_found_out_on_both_sides() -> None:
    caller, waiter = both()
    to_caller = Pairing(Side.WAITER, "555555555", EVES)
    to_waiter = Pairing(Side.CALLER, "555555555", EVES)
    to_caller.receive(caller.outgoing())
    waiter.receive(to_waiter.outgoing())
    caller.receive(to_caller.outgoing())
    to_waiter.receive(waiter.outgoing())
    with pytest.raises(WrongCodeError):
        waiter.receive(to_waiter.outgoing())
    with pytest.raises(WrongCodeError):
        to_caller.receive(caller.outgoing())
    # Whoever plays the waiting side cannot do without the code either.
    with pytest.raises(WrongCodeError, match="or somebody between the nodes answers"):
        caller.receive(b"\x02\x00\x00" + bytes(32))


def test_certificates_that_somebody_exchanges_on_the_way_are_refused() -> None:
    caller, waiter = both()
    waiter.receive(caller.outgoing())
    caller.receive(waiter.outgoing())
    said = caller.outgoing()
    forged = said.replace(BETA_NEXT.der, EVE.der[: len(BETA_NEXT.der)])
    if len(EVE.der) < len(BETA_NEXT.der):
        forged = said.replace(BETA_NEXT.der, EVE.der.ljust(len(BETA_NEXT.der), b"\0"))
    assert forged != said
    with pytest.raises(WrongCodeError):
        waiter.receive(forged)


def test_ones_own_words_sent_back_prove_nothing() -> None:
    caller, _ = both()
    said = caller.outgoing()
    with pytest.raises(RemoteProtocolError, match="no element of the group"):
        caller.receive(said)

    caller, waiter = both()
    waiter.receive(caller.outgoing())
    caller.receive(waiter.outgoing())
    with pytest.raises(WrongCodeError):
        caller.receive(caller.outgoing())


def started() -> tuple[Pairing, Pairing]:
    """Both have each other's certificates, and the caller's Stored waits to be sent."""
    caller, waiter = both()
    waiter.receive(caller.outgoing())
    caller.receive(waiter.outgoing())
    waiter.receive(caller.outgoing())
    caller.receive(waiter.outgoing())
    caller.say(Word.STORED)
    return caller, waiter


def test_what_is_repeated_left_out_or_exchanged_is_refused() -> None:
    caller, waiter = started()
    stored = caller.outgoing()
    assert waiter.receive(stored) == [Word.STORED]
    with pytest.raises(RemoteProtocolError, match="changed, repeated or left out"):
        waiter.receive(stored)

    caller, waiter = started()
    stored = caller.outgoing()
    waiter.say(Word.STORED)
    caller.receive(waiter.outgoing())
    caller.say(Word.DONE)
    with pytest.raises(RemoteProtocolError, match="changed, repeated or left out"):
        waiter.receive(caller.outgoing() + stored)

    caller, waiter = started()
    with pytest.raises(RemoteProtocolError, match="changed, repeated or left out"):
        waiter.receive(b"\x03" + caller.outgoing()[1:])


def test_what_another_conversation_said_is_refused_in_this_one() -> None:
    """The numbers of both sides are new each time, so the same code makes other keys."""
    old = Pairing(Side.CALLER, CODE, BETAS), Pairing(Side.WAITER, CODE, ALPHAS)
    opening = old[0].outgoing()
    old[1].receive(opening)
    old[0].receive(old[1].outgoing())
    proof = old[0].outgoing()

    waiter = Pairing(Side.WAITER, CODE, ALPHAS)
    waiter.receive(opening)
    with pytest.raises(WrongCodeError):
        waiter.receive(proof)


def test_who_knows_the_code_and_speaks_out_of_turn_is_refused() -> None:
    caller, waiter = both()
    waiter.receive(caller.outgoing())
    caller.receive(waiter.outgoing())
    caller.outgoing()
    caller._sent.clear()
    caller._say(pairing._Type.STORED, b"")
    with pytest.raises(RemoteProtocolError, match="STORED out of turn"):
        waiter.receive(caller.outgoing())

    caller, waiter = started()
    caller._say(pairing._Type.DONE, b"")
    with pytest.raises(RemoteProtocolError, match="DONE out of turn"):  # alpha has not stored
        waiter.receive(caller.outgoing())


def test_a_side_says_each_word_once_and_in_order() -> None:
    caller, waiter = both()
    with pytest.raises(LocalProtocolError, match="STORED is said once"):
        caller.say(Word.STORED)
    caller, waiter = started()
    with pytest.raises(LocalProtocolError):
        caller.say(Word.STORED)
    with pytest.raises(LocalProtocolError, match="DONE is said once"):
        caller.say(Word.DONE)
    assert waiter.has_ended is False


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GET / HTTP/1.1\r\n", "is no sbs pair"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "the port of a node that runs"),
        (b"\x15", "the port of a node that runs"),  # else it depends on the cut (found by fuzzing)
        (b"SSH-2.0-OpenSSH_9.6\r\n", "is no sbs pair"),
        (b"\x93SBS\r\n\x1a\n", "the port of a node that runs"),
        (b"\x93SBP\r\n\x1a\r", "is no sbs pair"),
        (b"", "closed the connection"),
    ],
)
def test_who_calls_something_else_is_told_so(data: bytes, words: str) -> None:
    for end in both():
        with pytest.raises(RemoteProtocolError, match=words):
            end.receive(data)


def test_another_version_is_told_as_such() -> None:
    caller, waiter = both()
    with pytest.raises(VersionError, match="pairs by version 2, this one by 1; install the same"):
        waiter.receive(caller.outgoing().replace(b"\n\x01", b"\n\x02", 1))


@pytest.mark.parametrize(
    "element",
    [bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"\x02" + bytes(31)],
    ids=["order 4", "neutral", "too large", "not on the curve"],
)
def test_numbers_that_would_make_the_key_known_are_refused(element: bytes) -> None:
    _, waiter = both()
    with pytest.raises(RemoteProtocolError, match="no element of the group"):
        waiter.receive(waiter.outgoing() + element)
    assert waiter.has_guess


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (struct.pack(">BH", 0, 0), "message of type 0"),
        (struct.pack(">BH", 5, 0), "message of type 5"),
        (struct.pack(">BH", 1, 0xFFFF), "CERTIFICATES of 65535 bytes; at most 8196"),
        (struct.pack(">BH", 2, 1), "STORED of 1 bytes; at most 0"),
    ],
)
def test_sizes_are_refused_before_anything_is_kept(frame: bytes, words: str) -> None:
    caller, waiter = both()
    waiter.receive(caller.outgoing())
    with pytest.raises(RemoteProtocolError, match=words):
        waiter.receive(frame)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "wrong form"),
        (b"\x00", "certificate of 0 bytes"),
        (b"\x00\x01x", "a certificate cannot be read"),
        (b"\x00\x00\x00\x00", "certificate of 0 bytes; allowed are 1 to 4096"),
        (
            struct.pack(">H", MAX_CERTIFICATE_BYTES + 1) + bytes(MAX_CERTIFICATE_BYTES + 1),
            "certificate of 4097 bytes",
        ),
        (struct.pack(">H", len(EVE.der)) + EVE.der, "wrong form"),
        ((struct.pack(">H", len(EVE.der)) + EVE.der) * 2 + b"x", "wrong form"),
        (struct.pack(">H", len(EVE.der) + 1) + EVE.der + b"x", "cannot be read"),
    ],
)
def test_what_is_no_certificate_is_refused_of_a_proven_node_too(body: bytes, words: str) -> None:
    caller, waiter = both()
    waiter.receive(caller.outgoing())
    caller.receive(waiter.outgoing())
    caller.outgoing()
    caller._sent.clear()
    caller._say(pairing._Type.CERTIFICATES, body)
    with pytest.raises(RemoteProtocolError, match=words):
        waiter.receive(caller.outgoing())


@pytest.mark.parametrize("reason", Reason)
def test_each_refusal_says_what_to_do(reason: Reason) -> None:
    caller, waiter = started()
    waiter.refuse(reason)
    with pytest.raises(PairingError) as caught:
        caller.receive(waiter.outgoing())
    assert str(caught.value) == pairing.REASONS[reason]
    assert isinstance(caught.value, WrongCodeError) is (reason is Reason.WRONG_CODE)


def test_a_refusal_of_a_later_version_ends_it_too() -> None:
    caller, _ = started()
    with pytest.raises(PairingError, match="it says there why"):
        caller.receive(b"\x04\x00\x01\xff")


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_an_error_or_waited_for(data: bytes, proven: bool) -> None:
    _, waiter = started() if proven else both()
    if not proven:
        data = waiter.outgoing() + data
    try:
        assert waiter.receive(data) == [] or not data
    except (RemoteProtocolError, PairingError):
        assert waiter.outgoing() is not None


def test_codes_are_of_nine_digits_and_each_is_another() -> None:
    codes = [new_code() for _ in range(50)]
    assert len(set(codes)) == 50
    for code in codes:
        assert len(code) == CODE_DIGITS + 2
        assert parse_code(code) == code.replace("-", "")


@pytest.mark.parametrize("text", ["123-456-789", "123456789", " 123 456 789 ", "12 3-45678-9"])
def test_a_code_is_read_as_people_write_it(text: str) -> None:
    assert parse_code(text) == "123456789"


@pytest.mark.parametrize("text", ["", "12345678", "1234567890", "12345678x", "١٢٣٤٥٦٧٨٩"])
def test_what_is_no_code_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="allowed is a code of 9 digits") as caught:
        parse_code(text)
    assert not text or text not in str(caught.value).replace("123-456-789", "")
