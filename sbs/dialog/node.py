"""The node of the configuration, as seen from outside: it runs, or not, or does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from sbs.errors import SbsError
from sbs.runtime.operating import client

LOOK_TIMEOUT_S: Final = 3.0
"""How long a node may take to say how it is: what is shown must not be old."""

STOPPED: Final = "stopped"
SILENT: Final = "silent"


@attrs.frozen(kw_only=True)
class Seen:
    """What was seen of a node.

    Args:
        role: as ``sbs status`` says it, :data:`STOPPED`, or :data:`SILENT`.
        status: what ``sbs status --json`` prints; ``None`` without an answer.
        why: there is none.
    """

    role: str
    status: Mapping[str, Any] | None = None
    why: str = ""

    @property
    def is_stopped(self) -> bool:
        """Whether it is certain that no node runs."""
        return self.role == STOPPED


def look(state_dir: str) -> Seen:
    """Look at the node that keeps its state in a directory.

    Args:
        state_dir: absolute.
    """
    try:
        status = client.ask(state_dir, "status", timeout_s=LOOK_TIMEOUT_S)
        return Seen(role=str(status["role"]), status=status)
    except (client.NoNodeError, client.EndedError):
        return Seen(role=STOPPED)
    except SbsError as error:
        return Seen(role=SILENT, why=str(error))
