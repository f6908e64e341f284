"""Two nodes, their connections and their witness at one instant, as plain values.

A connection's first message on either side is the sender's claim.

A :class:`Scene` is worked on; its :meth:`Scene.frozen` tuple is what the explorer remembers and
compares. All times are relative to the present.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias

import attrs

from sbs.core import events as ev
from sbs.core.alarm import Alarm
from sbs.core.claim import Claim
from sbs.core.effects import Durable
from sbs.core.epoch import NO_EPOCH
from sbs.core.history import History
from sbs.core.role import Model
from sbs.core.testament import SECRET_BYTES, Will
from sbs.testing.explorer.models import Kept, Machine
from sbs.testing.explorer.setup import Setup
from sbs.testing.explorer.words import End, LastWord

World: TypeAlias = tuple[Any, ...]
"""A frozen scene."""

MAX_CONNECTIONS: Final = 4
"""One that ends, one that begins, on either side: a pair seldom has more than two."""

MAX_PEACEFUL_CONNECTIONS: Final = 12
"""In peace one way only is followed, so more of them cost little."""

MAX_PRIMACIES: Final = 8
"""Epochs that follow each other: more than two faults make, unless a node goes on claiming a role
and losing it, for as long as the other's disk hangs, say."""

MAX_QUEUE: Final = 12
"""Messages on their way in one direction: a lease's worth of requests, and a handover."""

LATE_S: Final = 1.5
"""For how long a question that nobody waits for may still reach the witness."""

LINGER_S: Final = 1.0
"""How long a testament is told (``docs/architecture.md``)."""


class OutOfBoundsError(Exception):
    """More connections, messages or primacies than the explorer follows."""


class Question(NamedTuple):
    """On its way to the witness.

    Args:
        holder: the name that asks for the vote.
        replaces: whose vote it may have.
        left_s: how long its answer is waited for, or, of a late one, how long it may still arrive.
    """

    holder: str
    replaces: str
    left_s: float


@attrs.define
class Node:
    """One node: its SBS, its disk, its services and their fencer."""

    side: int
    up: bool
    model: Kept[Model]
    disk: Kept[Durable]
    journal: Kept[History] | None = None
    """Committed there, and not yet part of ``disk``."""
    journaling: tuple[Kept[History], int] | None = None
    """Being committed, and the connection it came on."""
    saves: tuple[tuple[int, Kept[Durable]], ...] = ()
    """Asked for; numbered back from the newest, 0."""
    dial: tuple[int, float] | None = None
    """The connection, and how long its hello is still waited for."""
    starting: int | None = None
    serving: int | None = None
    stopping: float | None = None
    """How long the services may still take to be gone."""
    guard: float = math.inf
    """How long they may run."""
    kill: float | None = None
    """How long they live, now that this is over."""
    life: int = 0
    """Its number; no two that are spoken of have the same."""
    secret: int = 0
    """The testament that the fencer has, by a number as lives have; 0: none."""
    linger: float = 0.0
    """How long it is still told."""
    dark: bool = False
    """The whole machine is off: nobody answers."""
    asleep: float | None = None
    """For how long it has been frozen."""
    question: Question | None = None
    """The one whose answer is waited for."""
    late: Question | None = None
    """One whose answer is not waited for any more, and which may still arrive."""
    leaves: tuple[str, ...] = ()
    """Votes to give back."""
    fencing: bool = False
    updating: tuple[int, str] | None = None
    """The session as leader, and how far its update is."""
    slow_disk: bool = False
    slow_services: bool = False
    cut_off: bool = False
    """From the witness."""
    forced: bool = False
    """Its primacy rests on an operator's word."""
    silent: bool = False
    """Its primacy began because nothing was heard of the peer, whatever its epoch is by now."""
    alarms: frozenset[Alarm] = frozenset()

    @property
    def name(self) -> str:
        """For people."""
        return "ab"[self.side]

    @property
    def awake(self) -> bool:
        """Whether its SBS does anything."""
        return self.up and self.asleep is None


_FIELDS: Final = tuple(field.name for field in attrs.fields(Node))
_frozen_node = attrgetter(*_FIELDS)


@attrs.define
class Connection:
    """What lies between two sockets; pairs are by side."""

    number: int
    dialler: int
    accepted: bool
    age: float
    """Seconds since it was accepted, as far as that matters."""
    claim: Kept[Claim] | None
    """The dialler's, once read."""
    open: list[bool]
    queues: list[tuple[Kept[Any], ...]]
    """What each side has sent."""
    beats: list[bool]
    """Which side sends heartbeats."""

    def frozen(self) -> tuple[Any, ...]:
        """As a value."""
        return (
            self.number,
            self.dialler,
            self.accepted,
            self.age,
            self.claim,
            tuple(self.open),
            tuple(self.queues),
            tuple(self.beats),
        )


class Scene:
    """A pair that is worked on.

    Args:
        setup: what is explored.
        machine: takes the nodes' steps.
        world: to begin with; both nodes down and new if left out.
        log: gets a line for people about all that happens.
    """

    def __init__(
        self,
        setup: Setup,
        machine: Machine,
        world: World | None = None,
        *,
        log: list[str] | None = None,
    ) -> None:
        self.setup = setup
        self.machine = machine
        self.nodes: list[Node]
        self.connections: dict[int, Connection]
        self._log = log
        self.max_connections = MAX_CONNECTIONS
        self.max_primacies = MAX_PRIMACIES
        self.fuse: int | None = None
        """So many effects are performed, then the node crashes."""
        if world is None:
            self.nodes = [self._new_node(side) for side in (0, 1)]
            self.connections = {}
            self.holder: str = ""
            self.lent_s: float = 0.0
            self.witness_up: bool = True
            self.cut: list[bool] = [False, False]
            self.used: frozenset[tuple[int, int]] = frozenset()
            self.excused: frozenset[int] = frozenset()
            return
        first, second, connections, rest = world
        self.nodes = [Node(*first), Node(*second)]
        self.connections = {
            each[0]: Connection(*each[:-3], *map(list, each[-3:])) for each in connections
        }
        self.holder, self.lent_s, self.witness_up, *cut, self.used, self.excused = rest
        self.cut = cut

    def _new_node(self, side: int) -> Node:
        durable = Durable(slot=side, epoch=NO_EPOCH)
        disk = self.machine.keep(durable)
        return Node(side, False, self.fresh_model(side, durable), disk)

    def fresh_model(self, side: int, durable: Durable) -> Kept[Model]:
        """The machine of a node that has not started."""
        return self.machine.model(Model(settings=self.setup.settings(side), durable=durable))

    def frozen(self) -> World:
        """As a value."""
        serving = {node.serving for node in self.nodes}
        self.excused = frozenset(number for number in self.excused if number in serving)
        return (
            _frozen_node(self.nodes[0]),
            _frozen_node(self.nodes[1]),
            tuple(connection.frozen() for connection in self.connections.values()),
            (self.holder, self.lent_s, self.witness_up, *self.cut, self.used, self.excused),
        )

    @property
    def hold_s(self) -> float:
        """How long a voter keeps still."""
        return self.setup.settings(0).hold_s

    def note(self, text: str) -> None:
        """Tell people."""
        if self._log is not None:
            self._log.append(f"  {text}")

    def peer(self, node: Node) -> Node:
        """The other node."""
        return self.nodes[1 - node.side]

    def holder_name(self, node: Node) -> str:
        """The node's name at the witness, now."""
        return f"{node.name}.{node.life}.{node.model.value.votes.term}"

    def fresh_life(self, node: Node) -> int:
        """A number for a node's new life: no earlier one that had it is spoken of any more."""
        names = {self.holder, *(name for each in self.nodes for name in _names(each))}
        names |= {will.holder for will in self._wills()}
        lives = {name.split(".")[1] for name in names if name.startswith(f"{node.name}.")}
        return next(number for number in itertools.count(1) if str(number) not in lives)

    def fresh_secret(self, node: Node) -> int:
        """Likewise for a testament."""
        digests = {will.digest for will in self._wills()}
        digests |= {
            hashlib.sha256(kept.value.secret).digest()
            for kept in self._under_way()
            if isinstance(kept.value, LastWord)
        }
        numbers = itertools.count(1)
        return next(number for number in numbers if bequest(node, number, "").digest not in digests)

    def _wills(self) -> Iterator[Will]:
        wills = [node.model.value.will for node in self.nodes]
        wills += (kept.value.will for kept in self._under_way() if _is_will(kept))
        return (will for will in wills if will is not None)

    def _under_way(self) -> Iterator[Kept[Any]]:
        for connection in self.connections.values():
            for queue in connection.queues:
                yield from queue

    # Connections.

    def connect(self, node: Node) -> int:
        """Open a connection from a node; its number is free, and nobody remembers it."""
        taken = set(self.connections)
        for each in self.nodes:
            taken.update(_remembered(each))
        number = next(number for number in range(1, 99) if number not in taken)
        if len(self.connections) >= self.max_connections:
            raise OutOfBoundsError("connections")
        queues: list[tuple[Kept[Any], ...]] = [(), ()]
        queues[node.side] = (self.machine.claim(node.model),)
        self.connections[number] = Connection(
            number, node.side, False, 0.0, None, [True, True], queues, [False, False]
        )
        return number

    def say(self, node: Node, number: int, message: object) -> bool:
        """Send a message; false if the connection has ended on this side."""
        connection = self.connections.get(number)
        if connection is None or not connection.open[node.side]:
            return False
        if connection.open[1 - node.side]:
            queue = connection.queues[node.side]
            if len(queue) >= MAX_QUEUE:
                raise OutOfBoundsError("messages")
            connection.queues[node.side] = (*queue, self.machine.keep(message))
        return True

    def close(self, node: Node, number: int) -> None:
        """Close one side; the other reads what was sent, then the end."""
        connection = self.connections.get(number)
        if connection is None or not connection.open[node.side]:
            return
        self.say(node, number, End())
        connection.open[node.side] = False
        connection.beats[node.side] = False
        connection.queues[1 - node.side] = ()
        if not any(connection.open):
            del self.connections[number]

    def forget_unheard(self, node: Node) -> None:
        """Calls that a node gave up and that never arrived are lost, but for the newest."""
        for connection in [*self.connections.values()]:
            mine = connection.dialler == node.side and not connection.open[node.side]
            if mine and not connection.accepted:
                del self.connections[connection.number]

    def links(self, node: Node) -> Iterator[Connection]:
        """The connections that a node has open."""
        return (each for each in [*self.connections.values()] if each.open[node.side])

    def renumber(self, leader: Node, asks: int) -> None:
        """Lease requests of ``leader`` count from the newest; more were sent."""
        follower, renumbered = self.peer(leader), self.machine.renumbered
        follower.model = renumbered(follower.model, asks)
        for connection in self.connections.values():
            for side, kinds in ((leader.side, _ASKING), (follower.side, _GRANTING)):
                connection.queues[side] = tuple(
                    renumbered(kept, asks) if isinstance(kept.value, kinds) else kept
                    for kept in connection.queues[side]
                )


_ASKING: Final = (ev.LeaseAsked, ev.RoleReleased)
_GRANTING: Final = (ev.LeaseGranted,)


def secret(node: Node, number: int) -> bytes:
    """The secret of a node's testament."""
    return hashlib.sha256(f"{node.name} {number}".encode()).digest()[:SECRET_BYTES]


def bequest(node: Node, number: int, holder: str) -> Will:
    """How a node's testament is announced."""
    return Will(hashlib.sha256(secret(node, number)).digest(), holder)


def _is_will(kept: Kept[Any]) -> bool:
    return isinstance(kept.value, ev.WillTold)


def _names(node: Node) -> Iterator[str]:
    """Names at the witness that a node may still speak of."""
    yield node.model.value.votes.replaces
    yield from node.leaves
    for question in (node.question, node.late):
        if question is not None:
            yield from (question.holder, question.replaces)


def _remembered(node: Node) -> Iterator[int]:
    """Numbers of connections that a node may still speak of."""
    model = node.model.value
    numbers = [model.session, model.asking, model.relieves]
    numbers += [each[0] for each in (node.dial, node.updating) if each is not None]
    numbers += [] if node.journaling is None else [node.journaling[1]]
    return (number for number in numbers if number is not None)
