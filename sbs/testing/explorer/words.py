"""What explored nodes say to each other, besides events of the role machine and claims."""

from __future__ import annotations

import attrs

from sbs.core.epoch import Epoch
from sbs.core.history import History


@attrs.frozen
class Follow:
    """The dialler asks to be secondary; what it claims was in its hello."""

    epoch: Epoch


@attrs.frozen
class Commit:
    """The leader's generation; ``history`` ends with it."""

    history: History


@attrs.frozen
class Committed:
    """The follower's journal holds it."""

    history: History


@attrs.frozen
class Refusal:
    """The port is closed."""


@attrs.frozen
class LastWord:
    """The testament, with its secret."""

    secret: bytes


@attrs.frozen
class End:
    """The connection was closed."""
