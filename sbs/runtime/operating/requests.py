"""What a running node does for the commands that reach its control socket."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Any, Final

import attrs
import trio

from sbs.core.history import MAX_GENERATION
from sbs.core.manifest import MAX_PATH_BYTES
from sbs.core.permissions import ROOT
from sbs.core.printable import quoted
from sbs.errors import RefusedError, SbsError
from sbs.log import INFO, WARNING, Log
from sbs.runtime.operating import control
from sbs.runtime.operating.farewell import Farewell
from sbs.runtime.operating.operated import Operated, Restoring

MAX_CONNECTIONS: Final = 64
"""Requests at a time, with those that have not arrived yet; people and scripts ask one by one."""

LASTING: Final = frozenset({"diff", "restore", "sync", "verify"})
"""Commands that wait for disks, as long as these take."""

MAX_LASTING: Final = 16
"""Of these at a time: a script that asks again and again while a disk hangs must not take the
connections that ``sbs status`` and ``sbs stop`` need."""

MAX_REQUEST_BYTES: Final = 64 * 1024
"""Longest request: a path of 4096 bytes, each of them escaped, is half of that."""

MAX_BYTES_S: Final = 1e15
"""Of a comparison: no disk reads as fast, and it can still be reckoned with."""

READ_TIMEOUT_S: Final = 5.0
"""How long a request line may take to arrive."""

WRITE_TIMEOUT_S: Final = 5.0
"""How long an answer may take to be read."""

MAX_STRANGERS: Final = 100
"""Accounts that were refused and are remembered, so that each is logged once."""

_log = Log(__name__)
_DROPPED = _log.event(
    "request-dropped",
    WARNING,
    "control socket: request dropped: {error!r}",
    "A local program asked for something in a form that is none, or was too slow. If it "
    "was a command of SBS, try again.",
)
_STRANGER = _log.event(
    "account-refused",
    WARNING,
    "control socket: the account {account} is refused, from now on silently",
    "A user of this machine gave a command to the node, and may not. Use the account of "
    "the node, or root.",
)
_STOP = _log.event(
    "stop-asked",
    INFO,
    "stop asked for by command",
    "Somebody ran `sbs stop`, or used the dialog. Nothing to do.",
)
_SWITCHOVER = _log.event(
    "switchover-asked",
    INFO,
    "switchover asked for by command",
    "Somebody ran `sbs switchover` or `sbs drill`, or a dry run of them. Nothing to do.",
)
_TAKEOVER = _log.event(
    "takeover-asked",
    WARNING,
    "takeover asked for by command",
    "Somebody ran `sbs takeover`. Nothing to do.",
)
_FORCED = _log.event(
    "takeover-forced",
    WARNING,
    "takeover asked for by command, by force",
    "Somebody ran `sbs takeover --force`, and so said that the other node is off. Make "
    "sure that it is.",
)
_PAUSE = _log.event(
    "pause-asked",
    INFO,
    "pause asked for by command: no automatic takeover until resume",
    "Until `sbs resume` nothing takes over by itself.",
)
_RESUME = _log.event(
    "resume-asked",
    INFO,
    "resume asked for by command",
    "Automatic takeovers are allowed again. Nothing to do.",
)
_ACCEPTED = _log.event(
    "held-update-accepted",
    WARNING,
    "the held update {update!a} is accepted by command",
    "Somebody looked at what the guard held, and let it through. What it deletes is kept as "
    "versions, for `sync.keep_versions_s`.",
)
_RESTORE = _log.event(
    "restore-asked",
    INFO,
    "restore of {path!a}, generation {generation}, asked for by command",
    "Somebody ran `sbs restore`. Nothing to do.",
)


class Requests:
    """Serves the control socket of a node; a context manager, for the socket's file.

    Args:
        node: is asked.
        state_dir: its state directory, locked.
        restoring: its former versions.
        farewell: what those are told who ask for its end.
    """

    def __init__(
        self, node: Operated, state_dir: str, restoring: Restoring, farewell: Farewell
    ) -> None:
        self._node = node
        self._farewell = farewell
        self._restoring = restoring
        self._state_dir = state_dir
        self._connections = trio.CapacityLimiter(MAX_CONNECTIONS)
        self._lasting = trio.CapacityLimiter(MAX_LASTING)
        self._strangers: set[int] = set()
        self._commands: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Any]]] = {
            "status": self._status,
            "stop": self._stop,
            "switchover": self._switchover,
            "takeover": self._takeover,
            "pause": self._pause,
            "resume": self._resume,
            "sync": self._sync,
            "diff": self._diff,
            "verify": self._verify,
            "folders": self._folders,
            "restore": self._restore,
            "unit-start": self._unit_start,
            "unit-stop": self._unit_stop,
        }

    async def __aenter__(self) -> Requests:
        self._listener = await control.bind(self._state_dir)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        control.remove(self._state_dir)
        with trio.CancelScope(shield=True):
            await self._listener.aclose()

    async def serve_forever(self) -> None:
        """Answer requests."""
        await trio.serve_listeners(self._serve, [self._listener])

    async def _serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await self._admit(stream)
            except (ValueError, trio.TooSlowError, trio.BrokenResourceError) as error:
                _DROPPED(error=error)

    async def _admit(self, stream: trio.SocketStream) -> None:
        try:
            self._check_account(control.account_of(stream))
            with _place(self._connections, "requests"):
                await self._converse(stream)
        except RefusedError as error:  # in a line that waits for nobody to read it
            await _tell(stream, _failure(error))

    def _check_account(self, account: int | None) -> None:
        """Refuse accounts other than the node's own and root, whatever the socket's mode.

        Raises:
            RefusedError: it is another one.
        """
        own = os.geteuid()
        if account in (None, own, ROOT):
            return
        if account not in self._strangers and len(self._strangers) < MAX_STRANGERS:
            self._strangers.add(account)
            _STRANGER(account=account)
        raise RefusedError(
            f"the account {account} may not give commands to this node: only its own, {own}, and "
            "root may"
        )

    async def _converse(self, stream: trio.SocketStream) -> None:
        with trio.fail_after(READ_TIMEOUT_S):
            request = await control.read_line(stream, most_bytes=MAX_REQUEST_BYTES)
        if request is None:
            return
        with self._farewell.owed() if request.get("command") == "stop" else nullcontext():
            await _tell(stream, await self._answer(request))

    async def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        command = request.get("command")
        handler = self._commands.get(command) if isinstance(command, str) else None
        if handler is None:
            names = ", ".join(self._commands)
            text = f"unknown command {_shown(command)}; this node knows {names}"
            return {"ok": False, "error": text, "exit_code": 2}
        try:
            if command not in LASTING:
                return {"ok": True, "result": await handler(request)}
            with _place(self._lasting, f"commands ({', '.join(sorted(LASTING))})"):
                return {"ok": True, "result": await handler(request)}
        except SbsError as error:
            return _failure(error)

    async def _status(self, _request: Mapping[str, Any]) -> Any:
        return (await self._node.status()).to_json()

    async def _stop(self, request: Mapping[str, Any]) -> Any:
        _STOP()
        await self._node.stop(force=request.get("force") is True)
        return {"not_handed_over": await self._farewell.wait()}

    async def _switchover(self, request: Mapping[str, Any]) -> Any:
        _SWITCHOVER()
        return attrs.asdict(await self._node.switchover(dry_run=request.get("dry_run") is True))

    async def _takeover(self, request: Mapping[str, Any]) -> Any:
        force = request.get("force") is True
        if force:
            _FORCED()
        else:
            _TAKEOVER()
        await self._node.takeover(force=force)

    async def _pause(self, _request: Mapping[str, Any]) -> Any:
        _PAUSE()
        await self._node.pause()

    async def _resume(self, _request: Mapping[str, Any]) -> Any:
        _RESUME()
        await self._node.resume()

    async def _sync(self, request: Mapping[str, Any]) -> Any:
        accepted = _text(request, "accept") if request.get("accept") else ""
        if accepted:
            _ACCEPTED(update=accepted)
        quick = request.get("quick") is True
        update = await self._node.sync(accepted=accepted, quick=quick)
        return None if update is None else attrs.asdict(update)

    async def _diff(self, _request: Mapping[str, Any]) -> Any:
        return attrs.asdict(await self._node.diff())

    async def _verify(self, request: Mapping[str, Any]) -> Any:
        bytes_s = request.get("bytes_s") or 0
        if type(bytes_s) not in (int, float) or not 0 <= bytes_s <= MAX_BYTES_S:
            raise SbsError(
                f"bytes_s {_shown(bytes_s)}: allowed is a number from 0 to {MAX_BYTES_S:g}"
            )
        return attrs.asdict(await self._node.verify(bytes_s))

    async def _folders(self, _request: Mapping[str, Any]) -> Any:
        return self._restoring.look().to_json()

    async def _restore(self, request: Mapping[str, Any]) -> Any:
        folder, path = _text(request, "folder"), _text(request, "path")
        generation = request.get("generation")
        if type(generation) is not int or not 0 <= generation <= MAX_GENERATION:
            raise SbsError(
                f"generation {_shown(generation)}: allowed is an integer from 0 to {MAX_GENERATION}"
            )
        _RESTORE(path=path, generation=generation)
        return await self._restoring.restore(folder, path, generation)

    async def _unit_start(self, request: Mapping[str, Any]) -> Any:
        again = request.get("again") is True
        await self._node.start_unit(_text(request, "name"), again=again)

    async def _unit_stop(self, request: Mapping[str, Any]) -> Any:
        return await self._node.stop_unit(_text(request, "name"))


@contextmanager
def _place(limit: trio.CapacityLimiter, what: str) -> Generator[None]:
    """One of a limited number of places; nobody waits for one.

    Raises:
        RefusedError: none is free.
    """
    try:
        limit.acquire_nowait()
    except trio.WouldBlock:
        count = limit.total_tokens
        text = f"{count} {what} are under way, no more are taken; try again when one is done"
        raise RefusedError(text) from None
    try:
        yield
    finally:
        limit.release()


def _failure(error: SbsError) -> dict[str, Any]:
    return {
        "ok": False,
        "error": str(error),
        "exit_code": error.exit_code,
        "remedy": error.remedy,
    }


async def _tell(stream: trio.SocketStream, answer: Mapping[str, Any]) -> None:
    with trio.fail_after(WRITE_TIMEOUT_S):
        await control.write_line(stream, answer)


def _text(request: Mapping[str, Any], name: str) -> str:
    """An argument that names something.

    Raises:
        SbsError: it is no text that could name a file.
    """
    value = request.get(name)
    try:
        fits = isinstance(value, str) and 0 < len(os.fsencode(value)) <= MAX_PATH_BYTES
    except UnicodeEncodeError:
        fits = False
    if not isinstance(value, str) or not fits or "\0" in value:
        raise SbsError(
            f"{name} {_shown(value)}: allowed is a text of 1 to {MAX_PATH_BYTES} bytes, without NUL"
        )
    return value


def _shown(value: object) -> str:
    return quoted(ascii(value))
