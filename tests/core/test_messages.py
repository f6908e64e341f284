from __future__ import annotations

import pytest

from sbs.core import messages as m
from sbs.core.epoch import Epoch


@pytest.mark.parametrize("versions", [(1, 1), (1, m.MAX_VERSION), (m.MAX_VERSION, m.MAX_VERSION)])
def test_hello_offers_a_range_of_versions(versions: tuple[int, int]) -> None:
    assert m.Hello(versions=versions).versions == versions


@pytest.mark.parametrize("versions", [(0, 1), (2, 1), (1, m.MAX_VERSION + 1)])
def test_hello_with_an_impossible_range_is_refused(versions: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="'versions' must be lowest and highest, 1 to 65535"):
        m.Hello(versions=versions)


def test_this_release_speaks_its_own_version() -> None:
    assert m.Hello(versions=(1, m.PROTOCOL_VERSION)).versions == (1, 1)


def test_texts_are_taken_at_their_limit_and_refused_above() -> None:
    for make in (m.Abandon, m.Failed, lambda text: m.Refused(m.Code.BUSY, text)):
        make("x" * m.MAX_TEXT)
        with pytest.raises(ValueError, match="Length of 'text' must be <= 2000: 2001"):
            make("x" * (m.MAX_TEXT + 1))


def test_bodies_are_taken_at_their_limit_and_refused_above() -> None:
    for make in (lambda body: m.Pack((), body), lambda body: m.Chunk(0, body)):
        make(bytes(m.MAX_BODY_BYTES))
        with pytest.raises(ValueError, match="Length of 'body' must be <= 1048576: 1048577"):
            make(bytes(m.MAX_BODY_BYTES + 1))


def test_body_does_not_swamp_a_log() -> None:
    assert len(repr(m.Chunk(1, bytes(1000)))) < 100


def test_generation_zero_is_never_begun() -> None:
    """Number 0 stands for "before the first"."""
    with pytest.raises(ValueError, match="'number' must be >= 1"):
        m.Begin(Epoch(1, 0), 0)


@pytest.mark.parametrize("size", [0, 31])
def test_a_fragment_bears_a_digest(size: int) -> None:
    with pytest.raises(ValueError, match=f"'digest' must be 32 bytes, not {size}"):
        m.Fragment(folder=0, path="f", size_bytes=1, digest=bytes(size))
