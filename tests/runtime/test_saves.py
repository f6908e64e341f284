"""Saves on a disk that hangs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NoReturn

import attrs
import pytest
import trio

from sbs.config import parse
from sbs.core import events as ev
from sbs.core.effects import Durable, Save
from sbs.core.epoch import Epoch
from sbs.errors import StateError
from sbs.runtime import saves as saves_module
from sbs.runtime.alarms import Alarms
from sbs.runtime.lasting.state import StateStore, Stored, new_node
from sbs.runtime.saves import Saves
from sbs.runtime.updating.updates import Updates
from sbs.testing.nodes import wait_until

MANY = 200
"""More than happen while a disk hangs: one for each update."""


class RefusingStore(StateStore):
    """Refuses some saves."""

    refusals = 2

    def save(self, stored: Stored) -> None:
        if self.refusals:
            self.refusals -= 1
            raise StateError(f"{self.path}: cannot be written: No space left on device")
        super().save(stored)


class HangingStore(StateStore):
    """Its first save lasts until :attr:`goes_on`."""

    def __init__(self, state_dir: str) -> None:
        super().__init__(state_dir)
        self.goes_on = threading.Event()
        self.begun: list[Epoch] = []

    def save(self, stored: Stored) -> None:
        self.begun.append(stored.durable.epoch)
        assert self.goes_on.wait(30)
        super().save(stored)


def _no_model() -> NoReturn:
    raise AssertionError("a save does not look at the model")


async def _no_event(event: ev.Event) -> None:
    raise AssertionError(f"updates have nothing to say: {event}")


async def test_a_hanging_disk_piles_nothing_up_and_the_newest_state_is_saved(
    tmp_path: Path,
) -> None:
    """B2: however many saves wait, the last one is durable in the end, and told."""
    store = HangingStore(str(tmp_path / "state"))
    text = f"[node]\npeer = '127.0.0.1:4446'\nstate_dir = '{tmp_path}/state'\n"
    alarms = Alarms()
    updates = Updates(parse(text, tmp_path / "sbs.toml"), alarms, _no_model, _no_event)
    told: list[ev.Event] = []

    async def post(event: ev.Event) -> None:
        await trio.lowlevel.checkpoint()
        told.append(event)

    saves = Saves(store, new_node(0), updates, post, alarms)
    durable = Durable(slot=0, epoch=Epoch(1, 0))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(saves.run)
            saves.ask(Save(1, durable))
            await wait_until(lambda: store.begun, "the first save hangs")
            for number in range(2, MANY + 1):
                saves.ask(Save(number, attrs.evolve(durable, epoch=Epoch(number, 0))))
            saves.end()
            store.goes_on.set()
    assert told == [ev.Saved(1), ev.Saved(MANY)]
    assert store.begun == [Epoch(1, 0), Epoch(MANY, 0)]
    stored = store.load()
    assert stored is not None
    assert stored.durable.epoch == Epoch(MANY, 0)
    updates.close()
    store.close()


async def test_a_state_that_cannot_be_written_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20: nobody is told that it is durable before it is; the newest is, then."""
    monkeypatch.setattr(saves_module, "RETRY_S", 0.01)
    store = RefusingStore(str(tmp_path / "state"))
    text = f"[node]\npeer = '127.0.0.1:4446'\nstate_dir = '{tmp_path}/state'\n"
    alarms = Alarms()
    updates = Updates(parse(text, tmp_path / "sbs.toml"), alarms, _no_model, _no_event)
    stood: list[str] = []

    async def post(event: ev.Event) -> None:
        await trio.lowlevel.checkpoint()
        assert event == ev.Saved(2)
        assert (store.refusals, alarms.standing) == (0, ())
        nursery.cancel_scope.cancel()

    saves = Saves(store, new_node(0), updates, post, alarms)
    durable = Durable(slot=0, epoch=Epoch(1, 0))
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(saves.run)
            saves.ask(Save(1, durable))
            await wait_until(lambda: alarms.standing, "the first save failed")
            stood += [f"{alarm.code}: {alarm.text}" for alarm in alarms.standing]
            saves.ask(Save(2, attrs.evolve(durable, epoch=Epoch(2, 0))))
    assert stood[0].startswith(f"state-failed: {store.path}: cannot be written: No space left")
    stored = store.load()
    assert stored is not None
    assert stored.durable.epoch == Epoch(2, 0)
    updates.close()
    store.close()
