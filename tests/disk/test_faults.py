"""A disk that refuses calls: nothing is lost, somebody is told why, and it goes on (B20).

``shim.c`` lets one call fail, or all from one on until the disk is repaired. The update fails as a
whole or is finished later, and is in place in the end.
"""

from __future__ import annotations

import errno
import os

import pytest

from tests.disk.receiver import Receiver
from tests.disk.scene import Scene
from tests.disk.shim import EVERY, Kind, What

SQLITE = (
    "disk I/O error",
    "database or disk is full",
    "unable to open database file",
    "readonly database",
)
"""What SQLite makes of any of these errors, depending on what it was about to do."""

ALL = "SBS_DISK_FAULTS" in os.environ
"""Every kind of failure at every call; else some kinds at every third to sixth."""


@pytest.mark.parametrize(
    ("what", "refusal", "kinds", "step"),
    [
        (What.FAIL_ONCE, errno.EIO, EVERY, 1),
        (What.FAIL_ON, errno.EIO, EVERY, 3),
        (What.FAIL_ONCE, errno.ENOSPC, Kind.NAMES | Kind.DATA, 4),
        (What.FAIL_ON, errno.EROFS, EVERY, 6),
    ],
    ids=["EIO once", "EIO until repaired", "ENOSPC once", "EROFS until repaired"],
)
def test_every_call_refused(
    stage: Scene, receiver: Receiver, what: What, refusal: int, kinds: Kind, step: int
) -> None:
    """B20, adversarial case 13: the text names a path of this node, and the cause."""
    started = receiver.run("recover", stage.restore("work"), kinds=kinds).count
    count = receiver.run("take", stage.restore("work"), kinds=kinds).count
    causes = os.strerror(refusal), *SQLITE
    tries = range(1, count + 1, 1 if ALL else step)
    silent = 0
    for at in tries:
        stage.restore("work")
        endured = receiver.endure("work", what, refusal, kinds=kinds, at=at)
        for text in endured.texts:
            assert any(cause in text for cause in causes), text
            assert f"{stage.home}/work" in text
        if started < at < count - started:
            assert endured.starts == 1, "it works again without a new start"
        silent += not endured.texts
        stage.recover("work", told=True)
        stage.finish("work")
    # SQLite makes up for some errors by itself, and whether names fold need not be known.
    assert silent < len(tries) / 4
