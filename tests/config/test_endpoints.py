"""Addresses that an HTTP client can ask."""

from __future__ import annotations

import httpx
import pytest

from sbs.config.endpoints import MAX_ENDPOINTS, Endpoint, Endpoints

FORM = "http://host:port or https://host:port"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("http://127.0.0.1:2379", "http://127.0.0.1:2379"),
        ("http://127.0.0.1:2379/", "http://127.0.0.1:2379"),
        ("https://Etcd-1.Example:443", "https://etcd-1.example:443"),
        ("https://etcd.example.:443", "https://etcd.example.:443"),
        ("http://[::1]:2379", "http://[::1]:2379"),
    ],
)
def test_an_endpoint_is_a_scheme_a_host_and_a_port(text: str, read: str) -> None:
    """B3: and an HTTP client takes it."""
    assert Endpoint().read(text) == read
    assert Endpoint().read(read) == read
    assert httpx.URL(read).host.encode("idna")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (2379, f"is an integer, expected {FORM}"),
        ("", f"allowed is {FORM}"),
        ("127.0.0.1:2379", f"allowed is {FORM}"),
        ("ftp://a:1", f"allowed is {FORM}"),
        ("http://u@a:1", f"allowed is {FORM}"),
        ("http://a:1/v3", f"allowed is {FORM}"),
        ("http://a:1?x", f"allowed is {FORM}"),
        ("http://a", f"names no port from 1 to 65535; allowed is {FORM}"),
        ("http://a:0", f"names no port from 1 to 65535; allowed is {FORM}"),
        ("http://a:65536", "port 65536: allowed is 0 to 65535"),
        ("http://a..b:1", "a..b is neither a host name nor an IP address"),
        ("http://1.2.3.999:1", "1.2.3.999 is neither a host name nor an IP address"),
        (f"http://{'a' * 64}:1", f"{'a' * 64} is neither a host name nor an IP address"),
    ],
)
def test_what_no_client_could_ask_is_refused(raw: object, text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        Endpoint().read(raw)
    assert str(caught.value) == text


@pytest.mark.parametrize("text", ["http://:1", "http://a:b:c", "http://[::zz]:1", "http://a\\b:1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="allowed is"):
        Endpoint().read(text)


def test_there_may_be_as_many_as_a_cluster_has() -> None:
    urls = [f"http://a:{port}" for port in range(1, MAX_ENDPOINTS + 2)]
    assert Endpoints().read(urls[:-1]) == tuple(urls[:-1])
    assert Endpoints().read([]) == ()
    with pytest.raises(ValueError, match=r"has 17 items, allowed are at most 16"):
        Endpoints().read(urls)


@pytest.mark.parametrize("again", ["http://a:1", "http://A:1/"])
def test_each_is_there_once(again: str) -> None:
    with pytest.raises(ValueError, match=r"item 3 is item 1 again; allowed are .* that differ"):
        Endpoints().read(["http://a:1", "http://b:1", again])
