"""A simulated pair: two role machines, a faulty network, crashes and freezes, from one seed.

The same seed gives the same run, step by step. Every broken promise raises
:class:`~sbs.testing.simnode.InvariantError` with the seed in its text.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random

from sbs.core import events as ev
from sbs.core.claim import Claim, Mode
from sbs.core.epoch import Epoch
from sbs.core.role import Settings, State
from sbs.testing.promises import Promises
from sbs.testing.simclock import Clock, Connection, Faults, Network
from sbs.testing.simnode import InvariantError, SimNode, Speeds
from sbs.testing.simvotes import SimWitness

SETTLED = frozenset({State.PRIMARY, State.SECONDARY, State.WAITING, State.STOPPED})
"""States in which a node may stay."""


class SimPair:
    """Two nodes, ``pair.nodes[0]`` and ``pair.nodes[1]``, and the network between them.

    Args:
        seed: of everything random.
        modes: of the nodes.
        faults: of the network.
        speeds: of the machines.
        tune: changes both nodes' settings, e.g. ``lambda s: attrs.evolve(s, failback=False)``.
        watching_witness: the witness has no clock, as a shared folder.
    """

    def __init__(
        self,
        seed: int,
        *,
        modes: tuple[Mode, Mode] = (Mode.SYMMETRIC, Mode.SYMMETRIC),
        faults: Faults | None = None,
        speeds: Speeds | None = None,
        tune: Callable[[Settings], Settings] = lambda settings: settings,
        watching_witness: bool = False,
    ) -> None:
        self.seed = seed
        self.random: Random = Random(seed)
        self.clock: Clock = Clock()
        self.network: Network = Network(self.clock, self.random, faults or Faults())
        self.witness: SimWitness = SimWitness(self.clock, watches=watching_witness)
        self.known: list[bool] = [True, True]
        """Whether each node is known to the other; else it is turned away, and no peer to it."""
        self.seen: set[tuple[State, type[ev.Event], State]] = set()
        self._connections = itertools.count(1)
        self._writes = itertools.count(1)
        self.promises: Promises = Promises(self)
        ids = [f"{self.random.getrandbits(128):032x}" for _ in range(2)]
        self.nodes: list[SimNode] = [
            SimNode(
                self,
                side,
                tune(Settings(node_id=ids[side], name="ab"[side], mode=modes[side])),
                self.random,
                speeds or Speeds(),
            )
            for side in range(2)
        ]

    def peer(self, node: SimNode) -> SimNode:
        """The other node."""
        return self.nodes[1 - node.side]

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.clock.run_until(self.clock.now + seconds)

    def fail(self, text: str) -> None:
        """Report a broken promise.

        Raises:
            InvariantError: always; its text names the seed and the time.
        """
        states = ", ".join(f"{n.settings.name} {n.model.state.name}" for n in self.nodes)
        raise InvariantError(f"seed {self.seed} at {self.clock.now:.4f} s: {text} ({states})")

    def next_write(self) -> int:
        """A number no file ever held."""
        return next(self._writes)

    def serve(self, node: SimNode, epoch: Epoch) -> None:
        """A node's services run now."""
        self.promises.serving(node, epoch)
        node.serving = epoch

    @property
    def serving(self) -> list[SimNode]:
        """The nodes whose services run."""
        return [node for node in self.nodes if node.serving is not None]

    @property
    def settled(self) -> bool:
        """One primary that serves, and every other running node in its place beside it."""
        running = [node for node in self.nodes if node.running]
        primaries = [node for node in running if node.model.state is State.PRIMARY]
        others = [node for node in running if node.model.state is State.SECONDARY]
        in_session = len(running) < 2 or all(node.model.session for node in running)
        return (
            len(primaries) == 1
            and len(primaries) + len(others) == len(running)
            and self.serving == primaries
            and in_session
        )

    # What the nodes' shells ask of the network.

    def dial(self, node: SimNode, timeout_s: float) -> None:
        """Connect ``node`` to its peer and exchange hellos."""
        peer = self.peer(node)
        connection = Connection(next(self._connections), self.network, self.clock)
        claim = node.claim
        life = node.life
        ended = [False]
        silent, refused = ev.DialFailed(refused=False), ev.DialFailed(refused=True)

        def lost() -> None:
            peer.awake(lambda: peer.lost(connection))

        def fail(why: ev.DialFailed | ev.DialRejected) -> None:
            if not ended[0]:
                ended[0] = True
                connection.close(node.side, lost)
                if node.life == life:
                    node.post(why)

        def last_word(secret: bytes) -> None:
            if not ended[0] and node.life == life:
                ended[0] = True
                node.post(ev.PeerFenced(secret))

        def knock() -> None:
            secret = peer.surroundings.tells(self.clock.now)
            if not peer.running and secret:
                self.network.send(peer.side, lambda: node.awake(lambda: last_word(secret)))
            elif not peer.running:
                self.network.send(peer.side, lambda: node.awake(lambda: fail(refused)), dial=True)
            elif peer.frozen:
                self.clock.after(0.01, knock)
            elif connection.open[node.side] and not all(self.known):
                rejected = ev.DialRejected() if self.known[peer.side] else silent
                connection.send(peer.side, lambda: node.awake(lambda: fail(rejected)))
            elif connection.open[node.side]:
                answer = peer.claim
                peer.opened(connection)
                connection.send(peer.side, lambda: node.awake(lambda: arrived(answer)))
                peer.post(ev.PeerMet(connection=connection.number, claim=claim, dialled=False))

        def arrived(answer: Claim) -> None:
            if node.life != life:  # its kernel knows nothing of it any more
                fail(silent)
            elif not ended[0]:
                ended[0] = True
                node.opened(connection)
                node.post(ev.PeerMet(connection=connection.number, claim=answer, dialled=True))

        self.network.send(node.side, knock, dial=True)
        node.later(timeout_s, lambda: fail(silent))

    def hang_up(self, node: SimNode, connection: Connection) -> None:
        """Close ``node``'s side of a connection."""
        peer = self.peer(node)
        connection.close(node.side, lambda: peer.awake(lambda: peer.lost(connection)))
