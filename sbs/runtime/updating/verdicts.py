"""What a leader makes of answers that are no Committed."""

from __future__ import annotations

from sbs.core.messages import Failed, Message
from sbs.errors import RemoteProtocolError, ReplicationError, SbsError


class FollowerError(ReplicationError):
    """The follower could not take an update."""


def failure_of(answer: Message) -> SbsError:
    """The error of an update that was answered with this."""
    if isinstance(answer, Failed):
        return FollowerError(f"the secondary could not take the update: {answer.text}")
    return RemoteProtocolError(f"{type(answer).__name__} is no verdict")
