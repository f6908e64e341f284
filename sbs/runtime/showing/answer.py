"""What is asked by HTTP, and what is answered."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, TypeAlias

import attrs

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
CSS: Final = "text/css; charset=utf-8"
SCRIPT: Final = "text/javascript; charset=utf-8"
SVG: Final = "image/svg+xml"
EVENT_STREAM: Final = "text/event-stream"
"""WHATWG HTML, section 9.2."""

HEADERS: Final = (
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; connect-src 'self'; img-src 'self'; script-src 'self'; "
        "style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
"""Of every answer: names in it are whatever somebody called a file, so no browser may run
anything but the page's own files, take an answer for one of them, show it elsewhere, or keep it."""


@attrs.frozen(kw_only=True)
class Request:
    """What was asked.

    Args:
        method: as it was sent; case counts (RFC 9110, section 9.1).
        path: without the query, which nothing here looks at.
        host: whom the other side means to ask (RFC 9110, section 7.2); empty: it does not say.
        last_event_id: of an event stream that goes on (WHATWG HTML, section 9.2.4); empty: of none.
    """

    method: str
    path: str
    host: str = ""
    last_event_id: str = ""


@attrs.frozen(kw_only=True)
class Answer:
    """A whole answer.

    Args:
        status: RFC 9110, section 15.
        body: not sent for HEAD and OPTIONS.
        kind: its media type.
        headers: besides :data:`HEADERS`.
    """

    status: int
    body: bytes
    kind: str = TEXT
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])


@attrs.frozen
class Stream:
    """An answer that goes on until the other side leaves: an event stream.

    Args:
        chunks: of it, as they come.
    """

    chunks: AsyncGenerator[bytes, None]


Reply: TypeAlias = Answer | Stream


def text(status: int, words: str, **headers: str) -> Answer:
    """A line of text; underscores in the names of ``headers`` stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, body=f"{words}\n".encode(), headers=named)


def as_json(status: int, value: Any) -> Answer:
    """A value as one line of JSON, all of it ASCII: names of files need not be Unicode."""
    return Answer(status=status, body=json.dumps(value).encode() + b"\n", kind=JSON)
