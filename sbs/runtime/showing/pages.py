"""Which path is answered by what."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Final

import trio

from sbs.config.places import is_loopback
from sbs.core.address import Address
from sbs.core.claim import Role
from sbs.core.role import Model
from sbs.runtime.showing.answer import (
    CSS,
    HTML,
    JSON,
    SCRIPT,
    SVG,
    Answer,
    Reply,
    Request,
    Stream,
    as_json,
    text,
)
from sbs.runtime.showing.chronicle import Chronicle
from sbs.runtime.showing.drawing import logo
from sbs.runtime.showing.health import PATHS, Health, Question
from sbs.runtime.showing.metrics import Metrics, Scrape
from sbs.runtime.showing.news import MAX_LISTENERS, RETRY_MS, News
from sbs.runtime.showing.page import page as whole_page
from sbs.runtime.showing.snapshots import NoStatusError, Shown, Snapshots

METHODS: Final = ("GET", "HEAD", "OPTIONS")
"""Nothing here changes anything."""

TURN_S: Final = 2.0
"""How long the role loop may take to go round: heartbeats need it several times in a second."""

PAUSE_S: Final = 0.005
"""Between two requests, of whomever: 200 a second are more than load balancers and people ask, and
leave the node its processor."""

_ALLOW: Final = ", ".join(METHODS)

_ASSETS: Final = files("sbs.runtime.showing") / "assets"


def _fixed() -> dict[str, Answer]:
    """What is the same for every node: style, script, and a picture of each role."""
    found = {
        f"/{name}": Answer(status=200, body=(_ASSETS / name).read_bytes(), kind=kind)
        for name, kind in (("page.css", CSS), ("page.js", SCRIPT))
    }
    for role in Role:
        picture = Answer(status=200, body=logo(role).encode(), kind=SVG)
        found[f"/role/{role.value}.svg"] = picture
    return found


def _is_local(host: str) -> bool:
    """Whether a host, with its port if it has one, is this machine by its own word."""
    try:
        return not host or is_loopback(Address.parse(host).host)
    except ValueError:
        return False


class Pages:
    """Answers what is asked of one node.

    Args:
        node: is shown.
        local: to this machine alone. A page from elsewhere, whose name was made to mean this
            machine, could read it through somebody's browser, so other names are not answered.
    """

    def __init__(self, node: Shown, *, local: bool) -> None:
        self._node = node
        self._local = local
        self._snapshots = Snapshots(node)
        self._news = News(node, self._snapshots)
        self._metrics = Metrics()
        self.chronicle: Chronicle = Chronicle(node)
        self._answered: Counter[int] = Counter()
        self._free_at = 0.0
        self._fixed = _fixed()
        self._pages: Mapping[str, Callable[[Request], Awaitable[Reply]]] = {
            "/": self._home,
            "/status.json": self._status,
            "/events": self._events,
            "/metrics": self._measured,
            **dict.fromkeys(self._fixed, self._asset),
        }

    async def reply(self, request: Request) -> Reply:
        """What is answered, in turn (:data:`PAUSE_S`); it is counted."""
        turn_at = max(self._free_at, trio.current_time())
        self._free_at = turn_at + PAUSE_S
        await trio.sleep_until(turn_at)
        try:
            reply = await self._reply(request)
        except NoStatusError as error:
            reply = text(503, str(error))
        self.count(reply.status if isinstance(reply, Answer) else 200)
        return reply

    def count(self, status: int) -> None:
        """One more answer with this status."""
        self._answered[status] += 1

    async def _reply(self, request: Request) -> Reply:
        if self._local and not _is_local(request.host):
            return text(421, "only names and addresses of loopback are answered here")
        if request.method not in METHODS:
            return text(405, f"allowed are {_ALLOW}: nothing can be changed here", Allow=_ALLOW)
        question = PATHS.get(request.path)
        if question is not None:
            return await self._health(question)
        page = self._pages.get(request.path)
        if page is None:
            return text(404, "there is no such page; docs/web.md lists those that there are")
        if request.method == "OPTIONS":
            return text(200, "", Allow=_ALLOW)
        return await page(request)

    async def _health(self, question: Question) -> Answer:
        turns = True
        if question is Question.HEALTH:
            turns = False
            with trio.move_on_after(TURN_S):
                await self._node.settle()
                turns = True
        health = self._state(turns=turns)
        model: Model = health.model
        found = {
            "name": model.settings.name,
            "role": self._node.role.value,
            "state": model.state.value,
            "epoch": model.durable.epoch.counter,
            "serves": health.serves,
            "in_step": model.in_step,
        }
        return as_json(200 if health.answers(question) else 503, found)

    def _state(self, *, turns: bool = True) -> Health:
        licence = self._node.licensing.status
        withheld = licence is not None and bool(licence.refusal)
        return Health(model=self._node.model, withheld=withheld, turns=turns)

    async def _asset(self, request: Request) -> Reply:
        return self._fixed[request.path]

    async def _home(self, _request: Request) -> Reply:
        snapshot = await self._snapshots.take()
        self.chronicle.look()
        body = whole_page(snapshot.status, self.chronicle, time.time())
        return Answer(status=200, body=body.encode("utf-8", "replace"), kind=HTML)

    async def _status(self, _request: Request) -> Reply:
        snapshot = await self._snapshots.take()
        return Answer(status=200, body=snapshot.text.encode() + b"\n", kind=JSON)

    async def _events(self, request: Request) -> Reply:
        if request.method != "GET":
            return text(200, "")
        if self._news.is_full:
            words = f"{MAX_LISTENERS} listen already; ask for /status.json now and then"
            return text(503, words, Retry_After=str(RETRY_MS // 1000))
        return Stream(self._news.stream(request.last_event_id))

    async def _measured(self, _request: Request) -> Reply:
        snapshot = await self._snapshots.take()
        scrape = Scrape(
            status=snapshot.status,
            health=self._state(),
            requests=self._answered,
            listeners=self._news.listeners,
            now=time.time(),
        )
        return self._metrics.answer(scrape)
