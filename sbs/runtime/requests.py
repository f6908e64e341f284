"""What a running node does for the commands that reach its control socket."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import trio

from sbs.core.role.model import HOLDING
from sbs.errors import RefusedError, SbsError
from sbs.runtime import control

if TYPE_CHECKING:
    from types import TracebackType

    from sbs.runtime.node import Node

MAX_REQUESTS: Final = 16
"""Requests at a time: people and scripts ask one by one."""

READ_TIMEOUT_S: Final = 5.0
"""How long a request line may take to arrive."""

_log = logging.getLogger(__name__)


class Requests:
    """Serves the control socket of a node; a context manager, for the socket's file."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._limit = trio.CapacityLimiter(MAX_REQUESTS)
        self._commands: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Any]]] = {
            "status": self._status,
            "stop": self._stop,
            "switchover": self._switchover,
            "sync": self._sync,
            "unit-start": self._unit_start,
            "unit-stop": self._unit_stop,
        }

    async def __aenter__(self) -> Requests:
        self._listener = await control.bind(self._node.config.node.state_dir)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        control.remove(self._node.config.node.state_dir)
        with trio.CancelScope(shield=True):
            await self._listener.aclose()

    async def serve_forever(self) -> None:
        """Answer requests."""
        await trio.serve_listeners(self._serve, [self._listener])

    async def _serve(self, stream: trio.SocketStream) -> None:
        async with stream, self._limit:
            try:
                with trio.fail_after(READ_TIMEOUT_S):
                    request = await control.read_line(stream)
                answer = await self._answer(request)
                await control.write_line(stream, answer)
            except (ValueError, trio.TooSlowError, trio.BrokenResourceError) as error:
                _log.warning("control socket: request dropped: %r", error)

    async def _answer(self, request: Any) -> dict[str, Any]:
        command = request.get("command") if isinstance(request, dict) else None
        handler = self._commands.get(str(command))
        if handler is None:
            names = ", ".join(self._commands)
            text = f"unknown command {json.dumps(command)}; this node knows {names}"
            return {"ok": False, "error": text, "exit_code": 2}
        try:
            return {"ok": True, "result": await handler(request)}
        except SbsError as error:
            return {"ok": False, "error": str(error), "exit_code": error.exit_code}

    async def _status(self, _request: Mapping[str, Any]) -> Any:
        return (await self._node.status()).to_json()

    async def _stop(self, _request: Mapping[str, Any]) -> Any:
        _log.info("stop asked for by command")
        await self._node.stop()
        await trio.sleep_forever()  # the end of the node is the answer

    async def _switchover(self, _request: Mapping[str, Any]) -> Any:
        _log.info("switchover asked for by command")
        await self._node.switchover()

    async def _sync(self, _request: Mapping[str, Any]) -> Any:
        if self._node.model.state not in HOLDING:
            raise RefusedError("this node is not the primary; run this on the primary")
        error = await self._node.updates.update_now()
        if error:
            raise SbsError(f"the update failed: {error}")
        status = await self._node.status()
        return status.to_json()["last_update"]

    async def _unit_start(self, request: Mapping[str, Any]) -> Any:
        node = self._node
        if node.model.state not in HOLDING:
            raise RefusedError("services run on the primary only; run this there")
        await node.services.start_one(str(request.get("name")), node.model.primacy)

    async def _unit_stop(self, request: Mapping[str, Any]) -> Any:
        if self._node.model.state not in HOLDING:
            raise RefusedError("services run on the primary only; run this there")
        await self._node.services.stop_one(str(request.get("name")))
