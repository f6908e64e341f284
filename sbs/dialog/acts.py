"""What the buttons of the first tab do; each returns what a person should know (R61)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from gettext import gettext as _
from typing import Final

from sbs.adapters.services.systemd import own_service
from sbs.runtime.operating import client


def start(path: str) -> str:
    """Start the node by the service manager, if that has it; else say how it is started.

    Args:
        path: of the configuration.

    Returns:
        what was done, or is to be done.

    Raises:
        SbsError: it could not be started.
    """
    unit = own_service.unit_of(os.path.abspath(path))
    if unit:
        own_service.start(unit)
        return _("systemd starts {unit}").format(unit=unit)
    return _(
        "No service of this machine runs this configuration, so nothing was started. Either\n"
        "  sbs service install -c {path}\n"
        "makes one, as root; or run the node in a terminal of its own:\n"
        "  sbs run -c {path}"
    ).format(path=path)


def stop(state_dir: str) -> str:
    """Stop the node in order, and wait for its end.

    Args:
        state_dir: of the node.

    Raises:
        RefusedError: it could not hand its role over.
        SbsError: it does not run, or cannot be reached.
    """
    kept = client.stop(state_dir)
    if kept:
        return _("the node has ended, and its role was not handed over: {reason}").format(
            reason=kept
        )
    return _("the node has ended")


def switchover(state_dir: str) -> str:
    """Exchange the roles.

    Args:
        state_dir: of the primary.

    Raises:
        RefusedError: it cannot be done now.
        SbsError: it failed.
    """
    found = client.ask(state_dir, "switchover", timeout_s=math.inf, dry_run=False)
    return _(
        "{name} is primary; no service ran for {gap_s:.3f} s.\n"
        "Whether the services stay up is seen only there: sbs status, on {name}"
    ).format(name=found["to"], gap_s=found["gap_s"])


ACTS: Final[Mapping[str, Callable[[str], str]]] = {"stop": stop, "switchover": switchover}
"""Those that are done by the node itself."""
