"""What a node does before it serves: remember, and finish what a crash left half-way."""

from __future__ import annotations

import attrs
import trio

from sbs.config import NodeSettings
from sbs.log import INFO, Log
from sbs.replication.following.target import CommitRecord
from sbs.runtime.lasting.slots import first_slot
from sbs.runtime.lasting.state import StateStore, Stored, new_node
from sbs.runtime.updating.updates import Updates

_log = Log(__name__)
_COMPLETED = _log.event(
    "generation-completed",
    INFO,
    "generation {generation} completed after a crash",
    "What this node had taken in before it died is in its place now. Nothing to do.",
)


async def recall(store: StateStore, node: NodeSettings) -> Stored:
    """Read the node's state, or make that of a new one; a configured slot holds.

    Raises:
        StateError: the state is damaged, or cannot be read.
    """
    stored = await trio.to_thread.run_sync(store.load)
    if stored is None:
        stored = new_node(await first_slot(node.listen, node.peer))
    if node.slot is None:
        return stored
    return attrs.evolve(stored, durable=attrs.evolve(stored.durable, slot=node.slot))


async def recover(store: StateStore, stored: Stored, updates: Updates) -> Stored:
    """Complete a generation that a crash left half applied, and count it in (B20).

    Returns:
        the state with it, durably saved.

    Raises:
        ReplicationError: a folder cannot be written; the next start tries again.
        StateError: the journal is damaged, or the state cannot be saved.
    """
    known = stored

    def count_in(record: CommitRecord) -> None:
        nonlocal known
        tip = record.history.entries[-1]
        if not known.durable.history.contains(tip):
            durable = attrs.evolve(known.durable, history=record.history, active=record.active)
            known = attrs.evolve(known, durable=durable, folders=record.folders)
        store.save(known)
        _COMPLETED(generation=tip)

    await updates.recover(count_in)
    await trio.to_thread.run_sync(store.save, known)
    return known
