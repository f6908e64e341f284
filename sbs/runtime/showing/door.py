"""Where the node is asked by HTTP: opens, counts who comes in, and outlives what goes wrong."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import trio

from sbs.adapters.transports.account import caller_of
from sbs.config.places import is_loopback
from sbs.core.address import Address
from sbs.core.alarm import Alarm
from sbs.log import ERROR, INFO, Log
from sbs.runtime.alarms import Alarms
from sbs.runtime.linking.strangers import first_to_go
from sbs.runtime.showing.conversation import Conversation
from sbs.runtime.showing.pages import Pages
from sbs.runtime.showing.snapshots import Shown

MAX_CONNECTIONS: Final = 64
"""At a time. One more, and the oldest of the address that has most of them is closed: a load
balancer gets its answer within milliseconds, so it gets through a crowd."""

RETRY_S: Final = 5.0
"""Until the next try after the port could not be served."""

_log = Log(__name__)
_BROKEN = _log.event(
    "web-broken",
    ERROR,
    "{text}",
    "A bug of the status page; the node itself goes on, and the page is tried again. "
    "Report it with the traceback.",
)
_OPEN = _log.event(
    "web-serving",
    INFO,
    "status, health and metrics are at http://{address}",
    "The status page can be opened there. Nothing to do.",
)


class Door:
    """Serves one node's pages; nothing that happens here ends the node.

    Args:
        listen: where; port 0 is any free one.
        node: is shown.
        alarms: told while the pages cannot be had.
    """

    def __init__(self, listen: Address, node: Shown, alarms: Alarms) -> None:
        self._listen = listen
        self._alarms = alarms
        self._pages = Pages(node, local=is_loopback(listen.host))
        self._callers: dict[trio.CancelScope, str] = {}
        self.address: str = ""
        """Where it is served now; empty while it is not."""

    async def run_forever(self) -> None:
        """Serve, and try again where that fails."""
        while True:
            try:
                await self._serve()
            except OSError as error:  # in use, not ours, or a name that nobody knows
                self._failed(f"it cannot be served: {error.strerror or error}")
            except Exception as error:  # a bug here must not end the node
                self._failed(f"it failed, which is a bug of SBS: {error!r}", error)
            finally:
                self.address = ""
            await trio.sleep(RETRY_S)

    def _failed(self, text: str, bug: BaseException | None = None) -> None:
        text = f"web.listen = {self._listen}: {text}"
        if bug is not None and text != self._alarms.text(Alarm.WEB_FAILED):
            _BROKEN(exc_info=bug, text=text)
        self._alarms.raise_(Alarm.WEB_FAILED, text)

    async def _serve(self) -> None:
        listeners = await trio.open_tcp_listeners(self._listen.port, host=self._listen.host)
        host, port = listeners[0].socket.getsockname()[:2]
        self.address = str(Address(host, port))
        self._alarms.clear(Alarm.WEB_FAILED)
        _OPEN(address=self.address)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pages.chronicle.run_forever)
            await trio.serve_listeners(self._receive, listeners)

    async def _receive(self, stream: trio.SocketStream) -> None:
        with trio.CancelScope() as scope, self._among(scope, caller_of(stream)):
            try:
                await Conversation(stream, self._pages).run()
            except Exception as error:  # as above; other callers are answered
                self._failed(f"an answer failed, which is a bug of SBS: {error!r}", error)
            finally:
                await trio.aclose_forcefully(stream)

    @contextmanager
    def _among(self, scope: trio.CancelScope, host: str) -> Generator[None]:
        """One more caller, until the context is left."""
        if len(self._callers) >= MAX_CONNECTIONS:
            oldest = first_to_go(self._callers)
            del self._callers[oldest]
            oldest.cancel()
        self._callers[scope] = host
        try:
            yield
        finally:
            self._callers.pop(scope, None)
