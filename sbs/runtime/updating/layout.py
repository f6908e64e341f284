"""Which folders this node replicates, whose settings of each hold, and where each lies (R24)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import attrs

from sbs.config import Config
from sbs.core.alarm import Alarm
from sbs.core.manifest import FolderSpec
from sbs.core.role import Model
from sbs.errors import ReplicationError
from sbs.runtime.alarms import Alarms
from sbs.runtime.updating.landing import place_of


class Layout:
    """The folders of one node, its own and those learned.

    Args:
        config: of the node.
        alarms: told of learned folders that have no place here.
        model: the role machine's present state.
    """

    def __init__(self, config: Config, alarms: Alarms, model: Callable[[], Model]) -> None:
        self._config = config
        self._alarms = alarms
        self._model = model
        self.own: dict[str, str] = {folder.name: folder.path for folder in config.folders}
        """Places by name, as the configuration has them."""
        self.learned: tuple[FolderSpec, ...] = ()
        """As the last primary had them, in its last generation held here."""

    def folders(self) -> tuple[FolderSpec, ...]:
        """What this node replicates as primary.

        After a takeover the settings learned from the last primary hold, each at its place on
        this node; what only this node's configuration names is added. After a direct start it
        is the other way round.
        """
        own = {spec.name: spec for spec in self._config.folder_specs()}
        learned: dict[str, FolderSpec] = {}
        refusals: list[str] = []
        for spec in self.learned:
            try:
                learned[spec.name] = attrs.evolve(spec, path=self._place(spec))
            except ReplicationError as error:
                refusals.append(str(error))
        self._alarms.tell(Alarm.FOLDER_REFUSED, refusals)
        via = self._model().via
        takeover = via is not None and via.takeover
        merged = {**own, **learned} if takeover else {**learned, **own}
        return tuple(merged.values())

    def places(self) -> dict[str, str]:
        """Where the folders lie that this node may hold, in any role, by name."""
        found = {**self.own}
        for spec in self.learned:
            with contextlib.suppress(ReplicationError):
                found[spec.name] = self._place(spec)
        return found

    def _place(self, spec: FolderSpec) -> str:
        """See :meth:`sbs.runtime.updating.follower.Follower.place`."""
        sync, node = self._config.sync, self._config.node
        return place_of(spec, self.own, sync.accept_under, node.state_dir)
