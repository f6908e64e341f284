"""The former versions of a node (B21): the old ones are removed, others restored on request."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import attrs
import trio

from sbs.config import Config
from sbs.core.history import History
from sbs.core.role import Model, State
from sbs.errors import RefusedError, ReplicationError, SbsError, StateError
from sbs.replication.files.places import Places
from sbs.replication.former import restoring
from sbs.replication.former.versions import Versions
from sbs.runtime.lasting.state import StateStore
from sbs.runtime.updating.landing import place_of

PRUNE_PERIOD_S: Final = 3600.0
"""From one look for versions that are too old to the next, where no update comes."""

PRUNE_PAUSE_S: Final = 5.0
"""After such a look, before the next: updates may come many times a second."""


class Restored(enum.StrEnum):
    """What a restore came to."""

    NOTHING = "nothing"
    """It stands as it was."""
    DONE = "done"
    EDITED = "edited"
    """It is what somebody had made of it by hand, before it was replaced."""


@attrs.frozen(kw_only=True)
class Standing:
    """What a node has in its folders, for whoever looks at their versions.

    Args:
        name: of the node.
        folders: where each lies, by name.
        newest: number of the last generation held.
        refusal: why nothing can be restored in place; empty: it can.
    """

    name: str
    folders: Mapping[str, str]
    newest: int
    refusal: str

    def to_json(self) -> dict[str, Any]:
        """For the control socket."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Standing:
        """What :meth:`to_json` made."""
        return cls(**fields)


class Keeping:
    """Looks after the versions of a running node.

    Args:
        name: of the node.
        versions: where they are kept.
        places: tells where the folders lie.
        model: the role machine's present state.
        restored: called when something was restored.
    """

    def __init__(
        self,
        name: str,
        versions: Versions,
        places: Callable[[], dict[str, str]],
        model: Callable[[], Model],
        restored: Callable[[], None],
    ) -> None:
        self._name = name
        self._pruner = versions.pruner
        self._places = places
        self._model = model
        self._restored = restored
        self._due = trio.Event()
        self._busy = trio.Lock()

    def applied(self) -> None:
        """A generation was applied: there may be too much now."""
        self._due.set()

    async def run_forever(self) -> None:
        """Remove what is too old or too much, a little at a time."""
        while True:
            self._due = trio.Event()
            while await trio.to_thread.run_sync(self._pruner.step, self._places()):
                await trio.lowlevel.checkpoint()
            await trio.sleep(PRUNE_PAUSE_S)
            with trio.move_on_after(PRUNE_PERIOD_S):
                await self._due.wait()

    def look(self) -> Standing:
        """What the node holds now."""
        model = self._model()
        refusal = ""
        if model.state is not State.PRIMARY:
            refusal = _refusal(f"{self._name} is not the primary")
        return Standing(
            name=self._name,
            folders=self._places(),
            newest=model.durable.history.number,
            refusal=refusal,
        )

    async def restore(self, folder: str, path: str, generation: int) -> Restored:
        """Put a former version in its place, on the primary.

        Args:
            folder: name of the folder.
            path: within it.
            generation: after which the path was what it shall be again.

        Returns:
            what was done.

        Raises:
            RefusedError: this node is not the primary.
            SbsError: the folder or the path is wrong.
            NotKeptError: there is no such version.
            ReplicationError: it cannot be put in place.
        """
        async with self._busy:
            held, history = self.look(), self._model().durable.history
            done = await trio.to_thread.run_sync(restore, held, history, folder, path, generation)
        if done is not Restored.NOTHING:
            self._restored()
        return done


def restore(held: Standing, history: History, folder: str, path: str, generation: int) -> Restored:
    """Put a former version in its place; see :meth:`Keeping.restore`."""
    if held.refusal:
        raise RefusedError(held.refusal)
    root = held.folders.get(folder)
    if root is None or history.tip is None:
        names = ", ".join(held.folders) or "none"
        raise SbsError(f"folder {folder!r}: allowed are those of {held.name}: {names}")
    with Places([root]) as places:
        try:
            found = restoring.find(places, 0, path, generation, held.newest)
        except ValueError as error:
            raise SbsError(str(error)) from error
        restoring.put_back(places, 0, found, history.tip)
    if found.change is None:
        return Restored.NOTHING
    return Restored.EDITED if found.edited else Restored.DONE


@contextmanager
def stopped(config: Config) -> Generator[tuple[Standing, History]]:
    """What a node that does not run has in its folders; it cannot be started meanwhile.

    Raises:
        StateError: it runs after all, has never run, or its state is damaged.
    """
    state_dir = config.node.state_dir
    if not os.path.isdir(state_dir):
        raise StateError(
            f"no node has run with state_dir {state_dir}: see node.state_dir in {config.path}"
        )
    store = StateStore(state_dir)
    try:
        stored = store.load()
        own = {folder.name: folder.path for folder in config.folders}
        folders, held, history = {**own}, False, History()
        if stored is not None:
            held, history = stored.durable.held, stored.durable.history
            for spec in stored.folders:
                with suppress(ReplicationError):  # it is not allowed here any more
                    accept_under = config.sync.accept_under
                    folders[spec.name] = place_of(spec, own, accept_under, state_dir)
        refusal = "" if held else _refusal(f"{config.node.name} did not lead when it stopped")
        name = config.node.name
        yield Standing(name=name, folders=folders, newest=history.number, refusal=refusal), history
    finally:
        store.close()


def _refusal(why: str) -> str:
    return (
        f"{why}: what is restored in its folders would be replaced by the primary's file; write it"
        " elsewhere with --output FILE, and copy that into the folder of the primary"
    )
