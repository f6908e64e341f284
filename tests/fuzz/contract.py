"""What a decoder is held to: the errors that it may raise, and the memory that it may take."""

from __future__ import annotations

import codecs
import enum
import random
import struct
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs
import msgpack

KIB = 1024
MIB = 1024 * KIB


def toml_bytes(longest_bytes: int) -> int:
    """Memory that Python's parser may take for a TOML of this length.

    It keeps each beginning of a dotted key: of a part for every two bytes, references of 8 bytes.
    """
    return 8 * MIB + longest_bytes**2


class Form(enum.Enum):
    """What a target's input is, for who changes it."""

    BYTES = "bytes"
    MSGPACK = "msgpack"
    """One value of msgpack, or several, after :attr:`Target.prefix_bytes`."""
    JSON = "json"
    TEXT = "text"


@attrs.frozen(kw_only=True)
class Target:
    """One decoder under test.

    Args:
        name: unique; also the directory of its corpus.
        run: decodes, and raises AssertionError where what came out is wrong; returns whether
            there was anything that the decoder took.
        allowed: what it may raise: the errors that its docstring names.
        form: of the input.
        prefix_bytes: before the first value, see :class:`Form`.
        tokens: that mean something to it.
        longest_bytes: of an input that is made.
        held_bytes: memory that it may take at once, whatever the input is.
        held_per_byte: and beside that, for each byte of the input.
        weight: its share of a run.
    """

    name: str
    run: Callable[[bytes], bool]
    allowed: tuple[type[Exception], ...] = ()
    form: Form = Form.BYTES
    prefix_bytes: int = 0
    tokens: tuple[bytes, ...] = ()
    longest_bytes: int = 4 * KIB
    held_bytes: int = MIB
    held_per_byte: int = 400
    weight: int = 2


def pieces(data: bytes, seed: int) -> Iterator[bytes]:
    """``data`` cut at random; a seed of 0 cuts after every byte."""
    chance = random.Random(seed)
    at = 0
    while at < len(data):
        step = chance.choice((1, 2, 7, 64, 1000)) if seed else 1
        yield data[at : at + step]
        at += step


ANYTHING: Final = "sbs-fuzz-anything"
"""How texts of values are encoded: escaped bytes as those bytes, other surrogates as they are."""


def _encode_anything(error: UnicodeError) -> tuple[bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    character = error.object[error.start]
    how = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
    return character.encode("utf-8", how), error.start + 1


codecs.register_error(ANYTHING, _encode_anything)


def repacked(value: Any) -> bytes:
    """A value in msgpack.

    Raises:
        ValueError, TypeError, OverflowError: it has no form there.
    """
    data: bytes = msgpack.packb(value, unicode_errors=ANYTHING)
    return data


def packed(value: Any) -> bytes:
    """The same; bytes are packed already."""
    return value if isinstance(value, bytes) else repacked(value)


class NoInputError(Exception):
    """Bytes that are not of the form that a target gives to its decoder."""


def unpacked(data: bytes) -> Any:
    """The one value of msgpack; what it takes to get it is not counted as the decoder's.

    Raises:
        NoInputError: it is none.
    """
    try:
        with shaped():
            return msgpack.unpackb(data, unicode_errors="surrogateescape", strict_map_key=False)
    finally:
        tracemalloc.reset_peak()


@contextmanager
def shaped() -> Generator[None]:
    """Whatever is raised inside is the input's fault, not the decoder's."""
    try:
        yield
    except (
        *(ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError),
        struct.error,
    ) as error:
        raise NoInputError from error


def unpacked_all(data: bytes) -> tuple[list[Any], int]:
    """The values that follow each other, and where what is none begins; likewise not counted."""
    unpacker = msgpack.Unpacker(strict_map_key=False, unicode_errors="surrogateescape")
    unpacker.feed(data)
    values: list[Any] = []
    end = 0
    try:
        for value in unpacker:
            values.append(value)
            end = unpacker.tell()
    except (ValueError, TypeError, msgpack.UnpackException):
        pass
    tracemalloc.reset_peak()
    return values, end


def is_proper(error: Exception, longest: int) -> None:
    """Hold the text of an error against what may stand in a log and a status."""
    text = str(error)
    assert len(text) <= longest, f"an error of {len(text)} characters"
    assert text.isprintable(), f"an error that a terminal obeys: {text}"


def text_of(data: bytes) -> str:
    """Bytes as a text that may hold anything a file name may."""
    return data.decode("utf-8", "surrogateescape")
