"""A process that takes the prepared update, each time in a child that may be killed.

Started with the library of ``shim.c``. It reads one request a line from its input, forks, arms
the child, and answers with a line when the child has ended: so a try costs a fork, not the start
of an interpreter. Requests and answers are JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs

from sbs.core.manifest import FolderSpec
from sbs.core.messages import Listing
from sbs.replication.changes import EVERYTHING
from sbs.replication.files.index import SETTLING_NS, Index
from sbs.replication.leading.source import PeerTree, Source
from sbs.replication.receiving import staging
from tests.disk import session
from tests.disk.session import Troubles
from tests.disk.shim import EVERY, Kind, Shim, What
from tests.disk.standby import Prepared, Standby
from tests.replication.rig import proceed

TOLD = ".told"
"""Ends the name of the file beside a directory that says: the primary was told."""

TROUBLES = ".troubles"
"""Ends the name of the file beside a directory with what was told of failures, as JSON."""

LOG = ".log"
"""Ends the name of the log beside a directory."""

REPAIRED_AFTER = 3
"""Failures that were told of, until a disk is repaired: the first, and two of what came next."""


@attrs.frozen
class Ended:
    """How a try ended."""

    killed: bool
    count: int
    """Calls counted; 0 if it was killed."""


@attrs.frozen
class Endured:
    """What was told of failures, and how often the node had to be started."""

    texts: list[str]
    starts: int


class Receiver:
    """The process, seen from outside; a context manager.

    Args:
        library: compiled from ``shim.c``.
        home: of the scene.
        update: what it takes.
    """

    def __init__(self, library: Path, home: str, update: Prepared) -> None:
        self._home = home
        with open(f"{home}/update.pickle", "wb") as file:
            pickle.dump(update, file)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.disk.receiver", home],
            cwd=Path(__file__).parent.parent.parent,
            env={**os.environ, "LD_PRELOAD": str(library)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def run(
        self,
        work: str,
        name: str,
        what: What = What.COUNT,
        *,
        at: int = 0,
        kinds: Kind = EVERY,
        refusal: int = 0,
        log: bool = False,
    ) -> Ended:
        """One try.

        Args:
            work: name of a function of this module.
            name: of the directory below ``home``.
            what: happens at one call.
            at: which one, from 1.
            kinds: of calls that are counted.
            refusal: the error number of calls that are refused.
            log: write all calls down.
        """
        request = {"work": work, "base": f"{self._home}/{name}", "what": what, "at": at}
        request |= {"kinds": kinds, "refusal": refusal, "log": log}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["code"] in (0, -9), "it did not end by itself, nor was it killed"
        return Ended(answer["code"] == -9, answer["count"])

    def endure(self, name: str, what: What, refusal: int, *, kinds: Kind, at: int) -> Endured:
        """Have the update taken on a disk that breaks; see :mod:`tests.disk.session`.

        Args:
            name: of the directory below ``home``.
            what: happens at one call.
            refusal: the error number of calls that are refused.
            kinds: of calls that are counted.
            at: which one, from 1.
        """
        self.run("endure", name, what, at=at, kinds=kinds, refusal=refusal)
        with open(f"{self._home}/{name}{TROUBLES}", encoding="utf-8") as file:
            return Endured(**json.load(file))

    def was_told(self, name: str) -> bool:
        """Whether the primary was told of g+1; forgets it."""
        path = f"{self._home}/{name}{TOLD}"
        told = os.path.exists(path)
        if told:
            os.unlink(path)
        return told


def take(base: str, update: Prepared, shim: Shim) -> None:
    """From the start of a node to the end of an update."""

    def tell() -> None:
        shim.mark("told")
        with open(base + TOLD, "wb"):
            pass

    with Standby(base, update.folders) as standby:
        standby.recover()
        standby.connect()
        standby.take(update, tell)


def commit(base: str, update: Prepared, shim: Shim) -> None:
    """As far as the commit; then the process is gone."""
    standby = Standby(base, update.folders)
    standby.recover()
    standby.connect()
    standby.commit(update, lambda: None)


def recover(base: str, update: Prepared, shim: Shim) -> None:
    """The start of a node."""
    with Standby(base, update.folders) as standby:
        standby.recover()


def serve(base: str, update: Prepared, shim: Shim) -> None:
    """A primary: services write without a sync, SBS reads what they wrote, and ends."""
    folders = (FolderSpec(name="data", path=f"{base}/data"),)
    with open(f"{base}/data/edited", "r+b") as file:
        file.write(b"F")
    with open(f"{base}/data/made", "wb") as file:
        file.write(b"made")
    time.sleep(2 * SETTLING_NS / 1e9)
    index = Index(f"{base}/state/index.db")
    peer = PeerTree(1)
    peer.add(Listing(folder=0, last=True))
    for _ in Source(folders, index, "off").prepare(peer, EVERYTHING, proceed).messages(proceed):
        pass
    index.close()


def endure(base: str, update: Prepared, shim: Shim) -> None:
    """A node whose disk breaks, and is repaired."""
    troubles = Troubles(shim.disarm, REPAIRED_AFTER)
    session.endure(base, update, troubles)
    with open(base + TROUBLES, "w", encoding="utf-8") as file:
        json.dump({"texts": troubles.texts, "starts": troubles.starts}, file)


WORKS = {each.__name__: each for each in (take, commit, recover, serve, endure)}


def _try(request: dict[str, Any], update: Prepared, answer_fd: int) -> None:
    shim, base = Shim(), request["base"]
    log_fd = os.open(base + LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if request["log"] else -1
    shim.arm(
        base,
        What(request["what"]),
        kinds=Kind(request["kinds"]),
        at=request["at"],
        refusal=request["refusal"],
        log_fd=log_fd,
    )
    WORKS[request["work"]](base, update, shim)
    os.write(answer_fd, str(shim.disarm()).encode())


def _serve(home: str) -> None:
    with open(f"{home}/update.pickle", "rb") as file:
        update: Prepared = pickle.load(file)  # noqa: S301 - the test wrote it
    for line in sys.stdin:
        read_fd, write_fd = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _try(json.loads(line), update, write_fd)
                code = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(write_fd)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        count = int(os.read(read_fd, 32) or b"0")
        os.close(read_fd)
        sys.stdout.write(json.dumps({"code": code, "count": count}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    # The smallest file that is patched is changed in its place, on any file system.
    vars(staging).update(IN_PLACE_ABOVE=0, _share=lambda *_: False)
    _serve(sys.argv[1])
