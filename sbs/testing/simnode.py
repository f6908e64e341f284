"""A simulated node: the real role machine, with a shell of virtual disk, services and link."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import attrs

from sbs.core import effects as ef
from sbs.core import events as ev
from sbs.core.alarm import Alarm
from sbs.core.claim import Claim, Role
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import Generation, History
from sbs.core.role import TABLE, Model, Settings, State, deadline, transition
from sbs.core.role.model import SERVING
from sbs.testing.simdisk import Disk
from sbs.testing.simupdates import Updates
from sbs.testing.simvotes import Surroundings

if TYPE_CHECKING:
    from sbs.testing.simclock import Connection
    from sbs.testing.simpair import SimPair


ROUNDING_S = 1e-6
"""Times by clocks of different speed are the same if they differ by less."""


class InvariantError(AssertionError):
    """The role machine broke a promise; the text says which, when, and the seed."""


@attrs.frozen(kw_only=True)
class Speeds:
    """How long things take on a simulated machine: shortest and longest, in seconds."""

    save_s: tuple[float, float] = (0.001, 0.02)
    service_s: tuple[float, float] = (0.001, 0.1)
    update_s: tuple[float, float] = (0.001, 0.05)
    period_s: float = 0.3


class SimNode:
    """One node of a :class:`~sbs.testing.simpair.SimPair`."""

    def __init__(
        self, pair: SimPair, side: int, settings: Settings, random: Random, speeds: Speeds
    ) -> None:
        self.pair = pair
        self.side = side
        self.settings = settings
        self.disk: Disk = Disk(ef.Durable(slot=side, epoch=NO_EPOCH))
        self.serving: Epoch | None = None
        self.alarms: set[Alarm] = set()
        self.refusal: str = ""
        self.life: int = 0
        self.running: bool = False
        self.frozen: bool = False
        self.told: list[ef.TellRole] = []
        self.answers: dict[int, str] = {}
        self.model: Model = Model(settings=settings, durable=self.disk.durable)
        self.random = random
        self.speeds = speeds
        self.rate: float = 1.0
        """Of its clock, against the true one."""
        self.fuse: int | None = None
        """So many effects of the next steps are performed, then it crashes."""
        self.surroundings: Surroundings = Surroundings(self, 0)
        self._postponed: list[Callable[[], None]] = []
        self._starting: Epoch | None = None
        self._saving: deque[ef.Save] = deque()
        self._open: dict[int, Connection] = {}
        self._opened_at: dict[int, float] = {}
        self._updates = Updates(self)

    # What the schedule does to the node.

    def start(self) -> None:
        """Start SBS on this node."""
        if self.running:
            return
        self.life += 1
        self.running = True
        self.refusal = ""
        self.alarms = set()
        self.disk.recover()
        self.model = Model(settings=self.settings, durable=self.disk.durable)
        self._updates = Updates(self)
        self.surroundings = Surroundings(self, self.life)
        self.post(ev.Started())

    def crash(self) -> None:
        """Kill SBS; its services die with it, its fencer tells so, then its port refuses."""
        if self.running:
            self.surroundings.dead_at = self.pair.clock.now
        self.fuse = None
        self.running = False
        self.frozen = False
        self.life += 1
        self.serving = self._starting = None
        self._postponed.clear()
        self._saving.clear()
        self._hang_up()
        self.model = Model(settings=self.settings, durable=self.disk.durable)

    def freeze(self) -> None:
        """Stop SBS without ending it, as SIGSTOP does; its services go on."""
        self.frozen = True

    def thaw(self) -> None:
        """Let a frozen SBS go on."""
        self.frozen = False
        postponed, self._postponed = self._postponed, []
        for action in postponed:
            action()

    def write(self) -> None:
        """The application changes a file, if it runs here."""
        if self.serving is not None:
            self.disk.tree = self.pair.next_write()

    @property
    def claim(self) -> Claim:
        """What the node says of itself now."""
        return self.model.claim

    @property
    def now(self) -> float:
        """The time by the node's own clock."""
        return self.pair.clock.now * self.rate

    def true_time(self, at: float) -> float:
        """When the node's clock shows ``at``."""
        return at / self.rate

    # Events.

    def post(self, event: ev.Event) -> None:
        """Give the machine an event, after what is due, and arm its deadline."""
        if not self.running:
            return
        if self.frozen:
            self._postponed.append(lambda: self.post(event))
            return
        due = deadline(self.model)
        if due is not None and due <= self.now and not isinstance(event, ev.TimePassed):
            self._step(ev.TimePassed())
        self._step(event)
        self._arm()

    def _step(self, event: ev.Event) -> None:
        if not self.running:
            return
        before = self.model
        self.model, effects = transition(before, event, self.now)
        self._check_step(before, event)
        for effect in effects:
            if self.fuse == 0:
                self.crash()
            if not self.running:
                return
            self.fuse = None if self.fuse is None else self.fuse - 1
            self._perform(effect)

    def _check_step(self, model: Model, event: ev.Event) -> None:
        before, after = model.state, self.model.state
        rule = TABLE[before][type(event)]
        self.pair.seen.add((before, type(event), after))
        if after is not before and after not in rule.leads_to:
            self.pair.fail(f"{before.name} + {event} led to {after.name}, which is not declared")
        if after is State.CLAIMING and before is not after:
            self.pair.promises.claiming(self, model)
        due = deadline(self.model)
        idle = isinstance(event, ev.TimePassed) and self.model == model
        if idle and due is not None and due <= self.now:
            self.pair.fail(f"{self.settings.name} does nothing at its deadline in {after.name}")
        if self.serving is not None and after not in SERVING and self.running:
            self.pair.fail(f"services run on {self.settings.name} in state {after.name}")

    def _arm(self) -> None:
        due = deadline(self.model)
        if due is None or not self.running:
            return
        at = self.true_time(due)
        if at > self.pair.clock.now and self.now >= due:  # rounding: not a moment too early
            at = self.pair.clock.now
        life = self.life
        self.pair.clock.at(at, lambda: self.awake(lambda: self._time_passed(life)))

    def _time_passed(self, life: int) -> None:
        due = deadline(self.model)
        if due is None or not self.running or self.life != life:
            return
        if due <= self.now:
            self.post(ev.TimePassed())
        elif due - self.now < ROUNDING_S:
            self.later(ROUNDING_S, lambda: self._time_passed(life))

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run ``action`` after so long by the node's clock, unless the node crashes before."""
        life = self.life

        def guarded() -> None:
            if self.life == life and self.running:
                if self.frozen:
                    self.pair.clock.after(0.01, guarded)
                else:
                    action()

        self.pair.clock.after(delay_s / self.rate, guarded)

    def within(self, span: tuple[float, float], action: Callable[[], None]) -> None:
        """Run ``action`` after a random time within ``span`` seconds, unless the node crashes."""
        self.later(self.random.uniform(*span), action)

    # Effects.

    def _perform(self, effect: ef.Effect) -> None:
        match effect:
            case ef.Dial(timeout_s):
                self.pair.dial(self, timeout_s)
            case ef.Save():
                self._save(effect)
            case ef.StartServices(epoch):
                self._starting = epoch
                self.within(self.speeds.service_s, lambda: self._started(epoch))
            case ef.StopServices():
                self._starting = None  # what has not started yet does not start
                self.within(self.speeds.service_s, self._stopped)
            case ef.FinalUpdate(connection):
                self._updates.finish(connection)
            case ef.RaiseAlarm(alarm):
                self.alarms.add(alarm)
            case ef.ClearAlarm(alarm):
                self.alarms.discard(alarm)
            case ef.TellRole(role):
                self.told.append(effect)
                if role is not Role.PRIMARY:
                    self.surroundings.secret = b""
            case ef.Guard() | ef.AskWitness() | ef.LeaveWitness() | ef.Fence():
                self.surroundings.perform(effect)
            case ef.Answer(ticket, error):
                self.answers[ticket] = error
            case ef.Exit(refusal):
                self._exit(refusal)
            case _:
                self._speak(effect)

    def _save(self, effect: ef.Save) -> None:
        """Saves end in the order in which they began, whatever time each takes."""
        self._saving.append(effect)
        self.within(self.speeds.save_s, self._saved)

    def _saved(self) -> None:
        if self._updates.journaling:  # the generation under way counts first
            self.later(0.001, self._saved)
            return
        effect = self._saving.popleft()
        durable = effect.durable
        if durable.epoch < self.disk.durable.epoch:
            self.pair.fail(f"the epoch of {self.settings.name} went back to {durable.epoch}")
        self.disk.durable = durable
        tip = None if self.disk.journal is None else self.disk.journal.tip
        if tip is not None and durable.history.contains(tip):
            self.disk.journal = None
        self.post(ev.Saved(effect.serial))

    def _started(self, epoch: Epoch) -> None:
        if self._starting != epoch:
            return
        self._starting = None
        if self.now < self.surroundings.guard:  # else the fencer starts nothing
            self.pair.serve(self, epoch)
        self.post(ev.ServicesStarted(("app",)))

    def _stopped(self) -> None:
        self.serving = None
        self.post(ev.ServicesStopped())

    def _exit(self, refusal: str) -> None:
        self.refusal = refusal
        self.serving = self._starting = None
        self.surroundings.secret = b""
        self.disk.durable = self.model.durable
        self._saving.clear()
        self._hang_up()
        self.running = False
        self.life += 1

    def _hang_up(self) -> None:
        for connection in list(self._open.values()):
            self.pair.hang_up(self, connection)
        self._open.clear()

    def opened(self, connection: Connection) -> None:
        """Remember a connection that this node has to close."""
        self._open[connection.number] = connection
        self._opened_at[connection.number] = self.now

    def heard(self, number: int) -> None:
        """A heartbeat arrived."""
        if number == self.model.session:
            self.post(ev.Heard())

    def lost(self, connection: Connection) -> None:
        """The other side closed."""
        if self._open.pop(connection.number, None) is not None:
            connection.open[self.side] = False
            self.post(ev.ConnectionLost(connection.number))
            self._updates.ended(connection.number)

    def _speak(self, effect: ef.Effect) -> None:
        match effect:
            case ef.Close(number):
                self._close(number)
            case ef.Refuse(number, code, text):
                self.say(number, ev.TurnedAway(number, code, text))
                self._close(number)
            case ef.SendFollow(number, epoch):
                peer, claim = self.pair.peer(self), self.claim
                self.send(number, lambda: peer.asked(number, claim, epoch))
            case ef.SendWelcome(number, epoch, history):
                self.say(number, ev.Welcomed(connection=number, epoch=epoch, history=history))
                self.surroundings.perform(effect)
                self._updates.lead(number)
            case ef.TakeUpdates(number):
                self._updates.beat(number)
            case ef.SendReleased(connection=number):
                self.pair.promises.released(self)
                released = ev.RoleReleased(
                    connection=number,
                    epoch=effect.epoch,
                    generation=effect.generation,
                    granted=effect.granted,
                    leaving=effect.leaving,
                )
                self.say(number, released)
            case ef.SendTaken(number, epoch):
                self.say(number, ev.RoleTaken(number, epoch))
            case ef.SendServing(number, epoch):
                self.say(number, ev.PeerServing(number, epoch))
            case ef.SendPause(number, pause):
                self.say(number, ev.PauseTold(number, pause))
            case ef.SendAskLease(connection=number):
                asked = ev.LeaseAsked(
                    connection=number,
                    epoch=effect.epoch,
                    serial=effect.serial,
                    hold_s=effect.hold_s,
                )
                self.say(number, asked)
            case ef.SendGrant(number, serial):
                self.say(number, ev.LeaseGranted(number, serial))
            case _:
                self.pair.fail(f"unknown effect {effect}")

    def _close(self, number: int) -> None:
        connection = self._open.pop(number, None)
        if connection is not None:
            self.pair.hang_up(self, connection)
            self._updates.ended(number)

    def say(self, number: int, event: ev.Event) -> None:
        """Send a message, if the connection still stands; it becomes the peer's event."""
        peer = self.pair.peer(self)
        self.send(number, lambda: peer.hear(number, event))

    def send(self, number: int, arrive: Callable[[], None]) -> bool:
        """Run ``arrive`` at the peer; False if the connection is gone."""
        connection = self._open.get(number)
        peer = self.pair.peer(self)
        if connection is not None:
            connection.send(self.side, lambda: peer.awake(arrive))
        return connection is not None

    def awake(self, action: Callable[[], None]) -> None:
        """Do it now, or when the node is no longer frozen, in the order of asking."""
        if self.frozen:
            self._postponed.append(action)
        else:
            action()

    def hear(self, number: int, event: ev.Event) -> None:
        """A message arrived."""
        if number in self._open:
            self.post(event)

    def asked(self, number: int, claim: Claim, epoch: Epoch) -> None:
        """The peer asks to follow."""
        opened_at = self._opened_at[number]
        asked = ev.FollowAsked(connection=number, claim=claim, epoch=epoch, opened_at=opened_at)
        self.hear(number, asked)

    def take(self, number: int, history: History, tree: int) -> None:
        """A generation arrived."""
        self._updates.take(number, history, tree)

    def taken(self, number: int, generation: Generation) -> None:
        """A generation was acknowledged."""
        self._updates.taken(number, generation)
