"""What a configuration names and this machine does not have, for who checks it before a start.

Not looked at when a node starts: a folder that is missing then is an alarm, and may be mounted yet.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from gettext import gettext as _

from sbs.config.problems import KeyPath, about
from sbs.config.services import BUILT_IN
from sbs.config.settings import Config
from sbs.config.text import dotted, shown
from sbs.core.claim import Mode


def missing(config: Config) -> Iterator[str]:
    """What is not on this machine, one line each.

    Args:
        config: of the node that shall run here.
    """
    for number, folder in enumerate(config.folders):
        if text := _of_folder(folder.path, config.node.mode):
            yield about(("folders", number, "path"), folder.path, text)
    for key, argv in _commands(config):
        if not _is_found(argv[0], config):
            text = _(
                "{key}: the program {program} is not found on this machine, or this account may "
                "not run it"
            )
            yield text.format(key=dotted(key), program=shown(argv[0]))


def _of_folder(path: str, mode: Mode) -> str:
    """What is wrong with the place of a folder; a secondary makes what it lacks."""
    if os.path.isdir(path):
        return ""
    if os.path.lexists(path):
        return _("is no directory on this machine")
    if mode is Mode.BACKUP_ONLY:
        return ""
    return _(
        "does not exist on this machine; a secondary makes it, but a primary has to have it: is a "
        "disk to be mounted?"
    )


def _commands(config: Config) -> Iterator[tuple[KeyPath, tuple[str, ...]]]:
    """Those that this node may run as its adapters are, each with its key."""
    for number, unit in enumerate(config.services.unit):
        for name in sorted(BUILT_IN.get(config.services.adapter, ())):
            yield ("services", "unit", number, name), getattr(unit, name)
    for name in ("update", "apply", "transition"):
        for number, argv in enumerate(getattr(config.hooks, name)):
            yield ("hooks", name, number), argv
    if config.failover.fence:
        yield ("failover", "fence"), config.failover.fence


def _is_found(program: str, config: Config) -> bool:
    """Whether a program is here, as far as that can be told before the node runs."""
    if os.path.dirname(program) and not os.path.isabs(program):
        return True  # it is looked for where the node will be started
    if shutil.which(program):
        return True
    folders = (os.path.join(folder.path, "") for folder in config.folders)
    replicated = any(program.startswith(folder) for folder in folders)
    return replicated and config.node.mode is not Mode.PRIMARY_ONLY  # it comes with the folder
