"""Sessions of the replicated folders."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import trio
import trio.testing

from sbs.config import parse
from sbs.core.connection import Side
from sbs.core.epoch import Epoch
from sbs.core.history import History
from sbs.core.messages import PROTOCOL_VERSION, Folders, Hello
from sbs.runtime.alarms import Alarms
from sbs.runtime.link import Link
from sbs.runtime.updates import Updates


def _no_model() -> NoReturn:
    raise AssertionError("a follower does not look at the model")


async def test_updates_sent_right_behind_the_welcome_find_their_session(tmp_path: Path) -> None:
    """The reader of a link goes on when ``session`` is set: its next message must have a place.

    Were it set before the session stands, the order of two tasks would decide.
    """
    folder, state = tmp_path / "folder", tmp_path / "state"
    folder.mkdir()
    state.mkdir()
    text = f"[node]\npeer = '127.0.0.1:4446'\nstate_dir = '{state}'\n"
    updates = Updates(parse(text, tmp_path / "sbs.toml"), Alarms(), _no_model, _no_event)
    stream, _ = trio.testing.memory_stream_pair()
    hello = Hello(versions=(1, PROTOCOL_VERSION), software="test", claim=None)
    link = Link(1, stream, Side.DIALLER, hello)
    epoch = Epoch(1, 0)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(updates.follow, link, epoch, History())
            await link.session.wait()
            await updates.route(link, Folders(epoch, ()))
            nursery.cancel_scope.cancel()
    updates.close()


async def _no_event(event: object) -> None:
    raise AssertionError(f"{event} was posted")
