"""Copies one folder to another with SBS's replication alone: no network, no second process.

    python examples/replication_alone.py FROM TO STATE

Only what changed is copied, as one generation: all of it or none. STATE is a directory of its
own, outside both folders. Run it again after a crash: it finishes what was begun. What was edited
in the copy meanwhile is kept in its ``.sbs.staging/quarantine``.
"""

from __future__ import annotations

import os
import sys

from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.core.manifest import FolderSpec
from sbs.core.messages import Begin
from sbs.replication.changes import EVERYTHING
from sbs.replication.files.index import Index
from sbs.replication.following.target import Target
from sbs.replication.leading.source import PeerTree, Source


def check() -> None:
    """Called again and again during long work; raise to cancel it."""


def remember(path: str) -> History:
    """The last generation, if there was one: what it held is in both folders."""
    if not os.path.exists(path):
        return History()
    with open(path) as file:
        number, digest = file.read().split()
    return History((Generation(Epoch(1, 0), int(number), bytes.fromhex(digest)),))


def replicate(origin: str, copy: str, state_dir: str) -> None:
    """Make ``copy`` what ``origin`` is, and print what was done."""
    folders = [FolderSpec(name="data", path=origin, strict_delete=True, preserve_mtime=True)]
    os.makedirs(state_dir, exist_ok=True)
    sent_index, kept_index = (Index(f"{state_dir}/{name}") for name in ("source", "target"))
    target = Target(state_dir, kept_index)
    if target.recover(check) is not None:
        print("finished an update that was interrupted")
    target.open(folders, [copy])
    peer = PeerTree(len(folders))
    for listing in target.listing(check):
        peer.add(listing)

    epoch, history = Epoch(1, 0), remember(f"{state_dir}/last")
    update = Source(folders, sent_index).prepare(peer, EVERYTHING, check)
    if update.held is not None:  # then it is empty; prepare() takes the id of what is accepted
        print(f"held as {update.held.id}: {update.held.deletes} files would be deleted")
    target.begin(Begin(epoch, history.number + 1))
    for message in update.messages(check):
        target.take(message, check)
    if not update.empty:
        commit = update.seal(epoch, history, active=())
        record = target.commit(commit, history, check)
        with open(f"{state_dir}/last", "w") as file:
            file.write(f"{record.history.number} {commit.generation.digest.hex()}")
        for operation in record.operations:
            print(f"{operation.action.name.lower():6} {operation.path!r}")
        for problem in target.apply(record, check).problems:
            print(f"not done: {problem.path}: {problem.text}")
    for problem in update.problems:
        print(f"left out: {problem.path}: {problem.text}")
    print(f"{len(update.operations)} changes")
    target.close()
    sent_index.close()
    kept_index.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: replication_alone.py FROM TO STATE")
    replicate(*sys.argv[1:])
