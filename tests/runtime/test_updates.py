"""Sessions of the replicated folders."""

from __future__ import annotations

import os
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
from tests.runtime.rig import recorded_pair


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


async def test_last_update_counts_what_was_sent_not_what_was_read(tmp_path: Path) -> None:
    """A file that only looks changed is read, and costs the network nothing."""
    async with recorded_pair(tmp_path) as (pair, _):
        pair.alpha.write("large", "x" * 100_000)
        pair.alpha.write("small", "one")
        await pair.start()
        await pair.beta.wait_file("small", "one")
        await pair.wait_in_step(pair.alpha)
        os.utime(Path(pair.alpha.folder, "large"), (1, 1))
        pair.alpha.write("small", "three")
        await pair.beta.wait_file("small", "three")
        await pair.alpha.node.updates.update_now()  # the one that sent it has ended, then
        last = pair.alpha.node.updates.last_update
        assert last is not None
        assert last.bytes == len("three")


async def _no_event(event: object) -> None:
    raise AssertionError(f"{event} was posted")
