from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.address import MAX_HOST_CHARS, MAX_PORT, Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:4446", "127.0.0.1", 4446),
        ("127.0.0.1", "127.0.0.1", 4445),
        ("alpha.example.org:1", "alpha.example.org", 1),
        ("print_server-2", "print_server-2", 4445),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]", "fe80::1%eth0", 4445),
        ("localhost:0", "localhost", 0),
    ],
)
def test_accepts_every_documented_form(text: str, host: str, port: int) -> None:
    """R1: port 4445 when none is named."""
    assert Address.parse(text) == Address(host, port)


def test_default_port_can_be_chosen() -> None:
    assert Address.parse("alpha", default_port=25).port == 25
    assert Address.parse("[::1]", default_port=25).port == 25


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "allowed is a name"),
        (":4445", "allowed is a name"),
        ("al pha", "allowed is a name"),
        ("alpha\n", "allowed is a name"),
        ("alpha:", "no number from 0 to 65535"),
        ("alpha:http", "no number from 0 to 65535"),
        ("alpha:-1", "no number from 0 to 65535"),
        ("alpha:+1", "no number from 0 to 65535"),
        ("alpha:1\n", "no number from 0 to 65535"),
        ("alpha:\u0661", "no number from 0 to 65535"),
        ("alpha:99999", "port 99999: allowed is 0 to 65535"),
        ("::1", "written in brackets"),
        ("::1:4445", "written in brackets"),
        ("[::1", "written in brackets"),
        ("[::1]4445", "written in brackets"),
        ("[127.0.0.1]:4445", "only an IPv6 address belongs in brackets"),
        ("[fe80::1%a\n]:4445", "only an IPv6 address belongs in brackets"),
        ("[::1::2]", "only an IPv6 address belongs in brackets"),
        ("[]:4445", "only an IPv6 address belongs in brackets"),
        ("[::1]:", "no number from 0 to 65535"),
        ("a" * (MAX_HOST_CHARS + 1), "at most 253"),
    ],
)
def test_refuses_other_forms_and_says_what_is_allowed(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Address.parse(text)


@pytest.mark.parametrize("port", [-1, MAX_PORT + 1])
def test_constructor_refuses_an_impossible_port(port: int) -> None:
    with pytest.raises(ValueError, match="allowed is 0 to 65535"):
        Address("alpha", port)


@given(
    host=st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True)
    | st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(str),
    port=st.integers(0, MAX_PORT),
)
def test_text_form_reads_back(host: str, port: int) -> None:
    address = Address(host, port)
    assert Address.parse(str(address)) == address
