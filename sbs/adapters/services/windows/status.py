"""What the service manager says of a service, and how long it may go on saying the same."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import attrs

MIN_HINT_S: Final = 10.0
"""Shortest time for a step: many services hint at none, and a loaded machine is slow."""

MAX_HINT_S: Final = 600.0
"""Longest time for a step: a hint may say 49 days, and whoever works for so long can say so."""

PROCESS_ABORTED: Final = 1067
"""The exit code of a service whose process ended without a word."""

EXIT_REASONS: Final = {
    1053: "it did not answer the service manager",
    PROCESS_ABORTED: "its process ended unexpectedly",
    1069: "its account cannot log on: see account and password",
    1070: "it hung while it started",
    1077: "not started since the machine was",
}
"""What the service manager's exit codes say that people meet (winerror.h)."""

_NO_ERROR: Final = 0
_SPECIFIC_ERROR: Final = 1066
_NEVER_STARTED: Final = 1077


class State(IntEnum):
    """Where a service stands; the numbers are those of winsvc.h."""

    STOPPED = 1
    START_PENDING = 2
    STOP_PENDING = 3
    RUNNING = 4
    CONTINUE_PENDING = 5
    PAUSE_PENDING = 6
    PAUSED = 7

    @property
    def words(self) -> str:
        """The name for people."""
        return self.name.lower().replace("_", " ")


@attrs.frozen(kw_only=True)
class ServiceStatus:
    """An answer of QueryServiceStatusEx.

    Args:
        state: where the service stands.
        pid: of its process; 0: none.
        checkpoint: grows while the service makes progress in a pending state.
        wait_hint_s: how long the next step may take, as the service says.
        exit_code: of the last run, from winerror.h; 1066: see ``specific_code``.
        specific_code: the service's own exit code.
    """

    state: State
    pid: int = 0
    checkpoint: int = 0
    wait_hint_s: float = 0.0
    exit_code: int = _NO_ERROR
    specific_code: int = 0

    @property
    def failed(self) -> bool:
        """Whether the last run ended otherwise than by a stop in order."""
        return self.state is State.STOPPED and self.exit_code not in {_NO_ERROR, _NEVER_STARTED}

    def describe(self) -> str:
        """One line for people."""
        if self.state is not State.STOPPED:
            process = f"process {self.pid}"
            return process if self.state is State.RUNNING else f"{process}, {self.state.words}"
        if self.exit_code == _SPECIFIC_ERROR:
            return f"ended with code {self.specific_code} of its own"
        if self.exit_code == _NO_ERROR:
            return "stopped"
        reason = EXIT_REASONS.get(self.exit_code)
        return f"error {self.exit_code}" + (f": {reason}" if reason else "")


@attrs.frozen(kw_only=True)
class Patience:
    """How long a pending service is waited for: by the rule of the service manager's documentation.

    Each step may take as long as the service hints; a step is another state, or a greater
    checkpoint. Another hint alone is none.

    Args:
        state: of the last step.
        checkpoint: of the last step.
        bound_at: when the next step has to be seen, on the caller's clock.
    """

    state: State
    checkpoint: int
    bound_at: float

    @classmethod
    def with_step(cls, status: ServiceStatus, now_at: float) -> Patience:
        """Begin to wait for the step after this one."""
        hint_s = min(max(status.wait_hint_s, MIN_HINT_S), MAX_HINT_S)
        return cls(state=status.state, checkpoint=status.checkpoint, bound_at=now_at + hint_s)

    def after(self, status: ServiceStatus, now_at: float) -> Patience:
        """What is left after another look."""
        if status.state is self.state and status.checkpoint <= self.checkpoint:
            return self
        return Patience.with_step(status, now_at)
