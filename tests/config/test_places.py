"""Which addresses are one place, and what two of them are called at a witness."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbs.config.places import MAX_PAIR_CHARS, is_definite, pair_name, same_place
from sbs.core.address import Address


def at(text: str) -> Address:
    return Address.parse(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Alpha:1", "alpha:1"),
        ("localhost:1", "127.0.0.1:1"),
        ("[0:0::1]:1", "[::1]:1"),
        ("[2001:DB8::1]:1", "[2001:db8:0::1]:1"),
    ],
)
def test_two_spellings_are_one_place_and_make_one_name(one: str, other: str) -> None:
    """B3: each node writes the addresses in its own way, and both ask for the same vote."""
    assert same_place(at(one), at(other))
    assert pair_name(at(one), at("b:2")) == pair_name(at("b:2"), at(other))


@pytest.mark.parametrize(
    ("one", "other"), [("a:1", "a:2"), ("a:1", "b:1"), ("127.0.0.1:1", "[::1]:1")]
)
def test_another_host_or_port_is_another_place(one: str, other: str) -> None:
    assert not same_place(at(one), at(other))


@pytest.mark.parametrize(
    ("one", "other", "name"),
    [
        ("192.0.2.2:4445", "192.0.2.1:4446", "192.0.2.1_4446-192.0.2.2_4445"),
        ("beta", "Alpha:1", "alpha_1-beta_4445"),
        ("[::1]:2", "[::1]:1", "__1_1-__1_2"),
        ("[fe80::1%eth0]:1", "[fe80::2%eth0]:1", "fe80__1_1-fe80__2_1"),
    ],
)
def test_a_pair_is_called_by_both_addresses(one: str, other: str, name: str) -> None:
    assert pair_name(at(one), at(other)) == name


def test_pairs_at_other_addresses_have_other_names() -> None:
    """B3: one witness serves many pairs, also those whose names are too long to be written out."""
    long = "a" * 60
    hosts = ["a", "b", f"{long}.a", f"{long}.b", "192.0.2.1", "192.0.2.11"]
    places = [Address(host, port) for host in hosts for port in (1, 11)]
    names = [pair_name(*pair) for pair in itertools.combinations(places, 2)]
    assert len(set(names)) == len(names)


HOSTS = (
    st.from_regex(r"[A-Za-z0-9._-]{1,253}", fullmatch=True)
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(str)
)
ADDRESSES = st.builds(Address, HOSTS, st.integers(1, 65535))


@settings(max_examples=200)
@given(ADDRESSES, ADDRESSES)
def test_every_name_is_one_that_could_be_configured_and_is_the_same_on_both_nodes(
    one: Address, other: Address
) -> None:
    name = pair_name(one, other)
    assert name == pair_name(other, one)
    assert re.fullmatch(rf"[A-Za-z0-9._-]{{1,{MAX_PAIR_CHARS}}}", name)


@pytest.mark.parametrize("text", ["0.0.0.0:1", "[::]:1", "[0::0]:1", "127.0.0.1:0", "alpha:0"])
def test_a_wildcard_or_any_port_is_not_what_the_peer_calls_a_node(text: str) -> None:
    assert not is_definite(at(text))
    assert is_definite(at("127.0.0.1:1"))
    assert is_definite(at("alpha"))
