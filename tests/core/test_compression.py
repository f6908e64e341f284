"""Whether compressing is worth it: the rule against the times that it is made from."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.compression import (
    ASSUMED_BYTES,
    DRAINED_BYTES,
    GIGABIT_BYTES_S,
    HALF_LIFE_BYTES,
    LinkSpeed,
    Speed,
    pays,
)

MIB = 1024 * 1024

speeds = st.floats(min_value=1e3, max_value=1e10)


@pytest.mark.parametrize(
    ("ratio", "link_bytes_s", "worth"),
    [
        (0.4, 1e6, True),
        (0.4, 125e6, True),
        (0.4, 1.25e9, False),  # ten times as fast: the processor is what is waited for
        (0.4, math.inf, False),
        (0.95, 125e6, False),  # next to nothing is gained
        (1.0, 1.0, False),  # incompressible
        (1.01, 1.0, False),
    ],
)
def test_compressing_is_for_what_shrinks_on_links_that_are_waited_for(
    ratio: float, link_bytes_s: float, worth: bool
) -> None:
    assert pays(ratio, link_bytes_s=link_bytes_s, compress_bytes_s=350e6) is worth


@given(st.floats(min_value=0, max_value=2), speeds, speeds)
def test_the_rule_is_that_the_content_arrives_sooner(
    ratio: float, link: float, compress: float
) -> None:
    as_it_is, compressed = MIB / link, MIB / compress + ratio * MIB / link
    if not math.isclose(as_it_is, compressed, rel_tol=1e-6):
        worth = pays(ratio, link_bytes_s=link, compress_bytes_s=compress)
        assert worth is (compressed < as_it_is)


def test_what_is_assumed_is_outweighed_by_what_is_measured() -> None:
    speed = Speed.assumed(1e9)
    assert speed.bytes_s == pytest.approx(1e9)
    for _ in range(8):
        speed = speed.after(MIB, 0.1)
    assert speed.bytes_s == pytest.approx(MIB / 0.1, rel=0.15)
    assert ASSUMED_BYTES < HALF_LIFE_BYTES


def test_a_change_is_known_after_some_half_lives() -> None:
    slow = Speed(10 * HALF_LIFE_BYTES, 100.0)
    fast = slow
    for _ in range(8):
        fast = fast.after(HALF_LIFE_BYTES, 0.01)
    assert fast.bytes_s > 20 * slow.bytes_s


def test_no_time_at_all_is_no_division_by_it() -> None:
    assert Speed(1, 0).bytes_s == math.inf
    assert Speed.assumed(1e6).after(0, 0).bytes_s == pytest.approx(1e6)


def test_a_link_is_measured_while_it_is_waited_for() -> None:
    link = LinkSpeed()
    assert link.bytes_s == pytest.approx(GIGABIT_BYTES_S)
    for _ in range(16):
        link = link.after(MIB, 0.1, full=True)
    assert link.bytes_s == pytest.approx(MIB / 0.1, rel=0.1)


def test_a_link_that_is_not_waited_for_is_faster_than_the_sender() -> None:
    link = LinkSpeed()
    while link.drained_bytes <= DRAINED_BYTES:
        assert link.bytes_s == pytest.approx(GIGABIT_BYTES_S)
        link = link.after(MIB, 0.001, full=False)
    assert link.bytes_s == math.inf
    waited_for = link.after(MIB, 0.1, full=True)  # what was sent then has filled it
    assert waited_for.drained_bytes == 0
    assert waited_for.bytes_s < GIGABIT_BYTES_S
