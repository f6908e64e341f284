"""What happens to a node, as notices for its administrator (R51, B50): one for one event.

Where mail is off a takeover is a warning in the log all the same.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Final

import attrs
import trio

from sbs.adapters import notifiers
from sbs.config import Config
from sbs.core import effects as ef
from sbs.core.alarm import Alarm
from sbs.core.claim import Role
from sbs.core.effects import Via
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import History
from sbs.core.notice import (
    MAX_PROBLEMS,
    MAX_SERVICES,
    URGENT,
    Kind,
    Notice,
    alarm_id,
    brief,
    kind_of,
    primacy_id,
)
from sbs.core.role import Model, State
from sbs.log import ERROR, WARNING, Log
from sbs.ports import NotifierFactory
from sbs.runtime import clock
from sbs.runtime.alarms import Alarms, StandingAlarm
from sbs.runtime.mailing.outbox import Outbox
from sbs.runtime.mailing.password import Credentials
from sbs.runtime.mailing.postman import Postman
from sbs.runtime.updating.last_update import LastUpdate

AMEND_S: Final = 10.0
"""How long the notice of a takeover waits for what the start of the services came to: most take
less, and who is called at night wants to know that first."""

SETTLE_S: Final = 60.0
"""How long an alarm has to stand before it is mailed: many are over in seconds, such as that of a
secondary that is restarted, or of a candidate that waits for a vote to run out."""

LOOK_S: Final = 1.0
"""From one look at the alarms to the next; never more than a part of the time above."""

_UNDELIVERED: Final = (Alarm.MAIL_FAILED, Alarm.MAIL_DAMAGED)
"""Alarms that no mail can tell of."""

_OF_BOTH: Final = (Alarm.QUARANTINE,)
"""Alarms that stand on both nodes for one event: the primary tells."""

_NOT_RUNNING: Final = (Alarm.SERVICE_FAILED, Alarm.SERVICE_DOWN, Alarm.SERVICE_GIVEN_UP)
"""Alarms that say why services do not run."""

_EXPECTED: Final = Alarm.NO_SECONDARY
"""After a takeover it is no news that nothing follows."""

_log = Log(__name__)
_TAKEN_OVER = _log.event(
    "taken-over",
    WARNING,
    "taken over from {peer}, epoch {epoch}: {reason}",
    "The other node was lost, and this one leads now. Find out what became of the "
    "other one: [after a takeover](howto/after-a-takeover.md).",
)
_UNTOLD = _log.event(
    "mail-event-broken",
    ERROR,
    "mail: an event could not be told",
    "A bug of SBS; the node goes on, but the administrator gets no message of this event. "
    "Report it with the traceback.",
)


@contextmanager
def _harmless() -> Generator[None]:
    """What goes wrong in telling is logged, and ends nothing else."""
    try:
        yield
    except Exception as error:  # it must not end a node in the middle of a takeover
        _UNTOLD(exc_info=error)


def _absolute(path: str) -> str:
    """A path for commands that are called anywhere; as it is, where that cannot be known."""
    try:
        return os.path.abspath(path) if path else ""
    except OSError:  # the working directory was removed
        return path


class Herald:
    """Tells the postman of one node what is mailed; of none, where mail is off.

    Nothing in it ends the node, neither in the role machine's loop nor beside it.

    Args:
        config: of the node.
        node_id: its identity.
        alarms: that stand.
        last_update: the last one that changed anything, if any is known.
        postman: sends; ``None``: mail is off.
        settle_s: see :data:`SETTLE_S`.
    """

    def __init__(
        self,
        config: Config,
        node_id: str,
        alarms: Alarms,
        *,
        last_update: Callable[[], LastUpdate | None],
        postman: Postman | None,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._config = config
        self._config_path = _absolute(config.path)
        self._node_id = node_id
        self._alarms = alarms
        self._last_update = last_update
        self._postman = postman
        self._settle_s = settle_s
        self._also = {Kind.TAKEOVER, Kind.URGENT, *map(Kind, config.mail.also)}
        self._claimed: Epoch = NO_EPOCH
        self._lost_at = 0.0
        """When the other node was last heard before this primacy; 0: never."""
        self._draft: Notice | None = None
        self._model: Model
        self._alone = False
        """Since a takeover nothing could replace this node."""
        self._seen: dict[Alarm, float] = {}
        """Since when each alarm stands, on trio's clock."""
        self._told: set[Alarm] = set()

    def note(self, model: Model, effect: ef.Effect) -> None:
        """See what the role machine wants; never waits.

        Args:
            model: where the machine stands since.
            effect: about to be performed.
        """
        with _harmless():
            self._note(model, effect)

    def _note(self, model: Model, effect: ef.Effect) -> None:
        self._model = model
        match effect:
            case ef.Save() if model.state is State.CLAIMING and model.primacy != self._claimed:
                self._claimed, self._lost_at = model.primacy, model.heard_at
            case ef.StartServices(epoch, names):
                self._begin(epoch, names)
            case ef.StopServices():
                self._draft, self._alone = None, False
            case _:
                pass
        if self._alone and model.state is State.PRIMARY and model.in_step:
            self._alone = False
            self._recovered()

    def _begin(self, epoch: Epoch, names: tuple[str, ...]) -> None:
        """A primacy has begun, and its services are about to start."""
        via = self._model.via
        kind = None if via is None else kind_of(via)
        self._alone = kind is Kind.TAKEOVER
        if via is not None and self._alone:
            _TAKEN_OVER(peer=self._peer_name, epoch=epoch, reason=via.value)
        if self._postman is None or via is None or kind is None:
            return
        durable = self._model.durable
        wanted = kind in self._also
        if not wanted and not durable.granted:
            return
        # Killed between the two, an earlier process has made a takeover durable, but no message.
        late = kind is Kind.RESTART and not wanted
        first = _first_of_row(durable.history) if late else epoch
        told_as = Kind.TAKEOVER if late else kind
        notice = self._notice(kind, primacy_id(told_as, self._node_id, first), time.time())
        # A primary that came back and then yielded was heard again, long after its services ended.
        known = kind is Kind.TAKEOVER and via is not Via.YIELDED and self._lost_at > 0
        self._draft = attrs.evolve(
            notice,
            why=brief(f"{via.value}; it began as a takeover" if late else via.value),
            services=names[:MAX_SERVICES],
            heard_at=notice.at - (clock.now() - self._lost_at) if known else None,
        )
        self._postman.post(
            self._draft,
            AMEND_S,
            primacy=epoch.number,
            since=first.number if late else 0,
            wanted=wanted or late,
        )

    def _recovered(self) -> None:
        if self._postman is None or Kind.RECOVERY not in self._also:
            return
        notice_id = primacy_id(Kind.RECOVERY, self._node_id, self._model.primacy)
        notice = self._notice(Kind.RECOVERY, notice_id, time.time())
        services = (self._model.durable.active or ())[:MAX_SERVICES]
        self._postman.post(attrs.evolve(notice, services=services))

    def served(self, *, withheld: bool) -> None:
        """The attempt to start the services is over.

        Args:
            withheld: the licence does not allow them.
        """
        with _harmless():
            self._served(withheld=withheld)

    def _served(self, *, withheld: bool) -> None:
        draft, self._draft = self._draft, None
        if self._postman is None or draft is None:
            return
        standing = {alarm.code: alarm.text for alarm in self._alarms.standing}
        causes = (*_NOT_RUNNING, Alarm.LICENCE) if withheld else _NOT_RUNNING
        failed = "; ".join(standing.pop(code) for code in causes if code in standing)
        standing.pop(_EXPECTED, None)
        known = draft.heard_at is not None
        self._postman.amend(
            attrs.evolve(
                draft,
                started=True,
                failed=brief(failed),
                outage_s=clock.now() - self._lost_at if known else None,
                problems=_lines(standing),
            )
        )

    @property
    def _peer_name(self) -> str:
        """Of the other node; its address before it has said its name."""
        peer = self._model.peer
        return str(self._config.node.peer) if peer is None else peer.name

    def _notice(self, kind: Kind, notice_id: str, at: float) -> Notice:
        model, last_update = self._model, self._last_update()
        config = self._config
        return Notice(
            id=notice_id,
            kind=kind,
            at=at,
            utc_offset_s=time.localtime(at).tm_gmtoff,
            node=config.node.name,
            peer=self._peer_name,
            config=self._config_path,
            role=model.state.role.value,
            epoch=str(model.durable.epoch),
            generation=model.durable.history.number,
            updated_at=None if last_update is None else last_update.at,
        )

    # Alarms.

    async def _watch_alarms(self) -> None:
        while True:
            await trio.sleep(min(LOOK_S, self._settle_s / 4))
            with _harmless():
                self._look()

    def _look(self) -> None:
        """Tell of each alarm that has stood long enough, once for as long as it stands."""
        now = trio.current_time()
        standing = {alarm.code: alarm for alarm in self._alarms.standing}
        self._seen = {code: self._seen.get(code, now) for code in standing}
        self._told &= standing.keys()
        for code, alarm in standing.items():
            kind = Kind.URGENT if code in URGENT else Kind.ALARM
            waits = code in self._told or now < self._seen[code] + self._settle_s
            if waits or kind not in self._also or code in _UNDELIVERED:
                continue
            role = self._model.state.role if code in _OF_BOTH else Role.PRIMARY
            if role in (Role.PRIMARY, Role.SECONDARY):  # else it is not known yet who tells
                self._told.add(code)
            if role is Role.PRIMARY:
                self._tell(kind, alarm, standing)

    def _tell(
        self, kind: Kind, alarm: StandingAlarm, standing: Mapping[Alarm, StandingAlarm]
    ) -> None:
        if self._postman is None:
            return
        notice_id = alarm_id(alarm.code, self._node_id, alarm.since)
        others = {code: each.text for code, each in standing.items() if code != alarm.code}
        self._postman.post(
            attrs.evolve(
                self._notice(kind, notice_id, alarm.since),
                why=brief(alarm.text),
                code=alarm.code,
                services=(self._model.durable.active or ())[:MAX_SERVICES],
                problems=_lines(others),
            )
        )

    # Life.

    async def run(self) -> None:
        """Have it all sent; returns after :meth:`end`."""
        if self._postman is None:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_alarms)
            await self._postman.run()
            nursery.cancel_scope.cancel()

    def end(self) -> None:
        """Nothing happens any more."""
        if self._postman is not None:
            self._postman.end()


def _first_of_row(history: History) -> Epoch:
    """The first primacy of this node, which has the last one, since another node had one."""
    epochs = [entry.epoch for entry in reversed(history.entries)]
    row = itertools.takewhile(lambda epoch: epoch.slot == epochs[0].slot, epochs)
    return min(row)


def _lines(alarms: Mapping[Alarm, str]) -> tuple[str, ...]:
    lines = [brief(f"alarm {code}: {text}") for code, text in alarms.items()]
    return tuple(lines[:MAX_PROBLEMS])


def make_herald(
    config: Config,
    alarms: Alarms,
    node_id: str,
    last_update: Callable[[], LastUpdate | None],
    *,
    notifier: NotifierFactory | None,
    password: str,
) -> Herald:
    """The herald of a node, with a postman if mail is on.

    Args:
        config: of the node.
        alarms: that stand.
        node_id: the node's identity.
        last_update: the last one that changed anything, if any is known.
        notifier: sends; the configured adapter if ``None``.
        password: of the account, where no file holds it.

    Raises:
        ConfigError: the adapter is not installed, or cannot be imported.
    """
    postman = None
    if config.mail.enabled:
        postman = Postman(
            config.mail.receivers,
            Outbox(config.node.state_dir),
            alarms,
            open_notifier=notifier or notifiers.load(config.mail.adapter),
            options=Credentials(config.mail, password).options,
        )
    return Herald(config, node_id, alarms, last_update=last_update, postman=postman)
