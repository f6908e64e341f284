"""What a leader makes of answers that are no Committed, or that do not come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from sbs.core.messages import Failed, Message
from sbs.errors import RemoteProtocolError, ReplicationError, SbsError, TransportError

LAST_ANSWER_S: Final = 300.0
"""How long a handover waits for a word of the follower, as long as for a script: no service runs
meanwhile. A large update on a slow disk takes less."""

LOOK_S: Final = 1.0
"""From one look whether a handover waits to the next."""


class FollowerError(ReplicationError):
    """The follower could not take an update."""

    remedy = "See the alarms and the log of the secondary: sbs status there."


def failure_of(answer: Message) -> SbsError:
    """The error of an update that was answered with this."""
    if isinstance(answer, Failed):
        return FollowerError(f"the secondary could not take the update: {answer.text}")
    return RemoteProtocolError(f"{type(answer).__name__} is no verdict")


async def next_answer(
    answers: trio.MemoryReceiveChannel[Message], hurried: Callable[[], bool]
) -> Message:
    """The follower's next word, however long it takes.

    Args:
        answers: of the follower.
        hurried: whether a handover waits: then there is an end to patience.

    Raises:
        TransportError: the follower lives, and says nothing: the session is over.
    """
    waited_s = 0.0
    while waited_s < LAST_ANSWER_S:
        with trio.move_on_after(LOOK_S):
            return await answers.receive()
        waited_s += LOOK_S if hurried() else 0.0
    raise TransportError(f"the secondary said nothing of the last update for {LAST_ANSWER_S:g} s")
