"""Starts of services, as far as the licence allows them (R40 to R44)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
import trio

from sbs.core.alarm import Alarm
from sbs.core.effects import Via
from sbs.core.epoch import Epoch
from sbs.core.licence import Standing, Start, may_run
from sbs.core.role import Model
from sbs.errors import LicenceError
from sbs.log import ERROR, WARNING, Log
from sbs.ports import LicensePolicy
from sbs.runtime.alarms import Alarms
from sbs.runtime.serving.licence_status import LicenceStatus
from sbs.runtime.serving.services import Services
from sbs.runtime.serving.succession import Succession

LOOK_S: Final = 2.0
"""Between two looks at the licence: whoever puts one in place waits for no longer."""

LOOK_BOUND_S: Final = 1.0
"""How long a look may take: a start of services waits for it before it is refused."""

FIRST_BOUND_S: Final = 10.0
"""How long the first look may take, without which the node does not start."""

_log = Log(__name__)
_BROKEN = _log.event(
    "licence-adapter-broken",
    ERROR,
    "{text}; this is a bug of it",
    "A takeover goes on in spite of it; an ordinary start does not. Report it, with the "
    "traceback, to whoever made the adapter.",
)
_ALLOWED = _log.event(
    "licence-allows",
    WARNING,
    "the licence allows the services now; starting them",
    "A new licence is in its place. Nothing to do.",
)


async def admit(policy: LicensePolicy, *, granted: bool) -> Standing:
    """Look at the licence for the first time.

    Args:
        policy: of the node.
        granted: it held a primacy under a grant when it ended, and has not given it back (R43).

    Returns:
        how the licence stands; where that cannot be found out, and the node may run all the same,
        that none was found.

    Raises:
        LicenceError: the node may not run; the text says why, and what to do.
    """
    cause: LicenceError | None = None
    try:
        standing = await Guarded(policy).look(FIRST_BOUND_S)
    except LicenceError as error:
        cause, standing = error, Standing(problem=_unknown(error), absent=True)
    if not may_run(standing, granted=granted):
        raise LicenceError(standing.problem) from cause
    return standing


def _unknown(error: LicenceError) -> str:
    return f"how the licence stands cannot be found out ({error})"


class Guarded:
    """A policy, of whatever maker, from which only what its port promises comes.

    A bug in an adapter must not end a node that serves, nor hinder a takeover: what it raises
    against its contract counts as that nothing can be found out, and is logged once.

    Args:
        policy: to ask.
    """

    def __init__(self, policy: LicensePolicy) -> None:
        self._policy = policy
        self._logged = ""

    async def look(self, bound_s: float) -> Standing:
        """How the licence stands now.

        Args:
            bound_s: how long that may take.

        Raises:
            LicenceError: it cannot be found out.
        """
        try:
            with trio.fail_after(bound_s):
                return await self._policy.look()
        except LicenceError:
            raise
        except trio.TooSlowError as error:
            raise LicenceError(f"there was no answer within {bound_s:g} s") from error
        except Exception as error:  # see the class
            raise LicenceError(self._broken(error)) from error

    def refusal(self, standing: Standing, start: Start) -> str:
        """See :meth:`sbs.ports.LicensePolicy.refusal`."""
        try:
            return self._policy.refusal(standing, start)
        except Exception as error:  # see the class; a start under a grant is never refused (R42)
            text = self._broken(error)
            return "" if start.granted else f"no service is started: {text}"

    def _broken(self, error: Exception) -> str:
        text = f"the licence adapter failed in a way it must not, with {type(error).__name__}"
        if text != self._logged:  # it is asked every two seconds
            _BROKEN(exc_info=error, text=text)
            self._logged = text
        return f"{text}; the log has the details for its maker"


class Licensing:
    """The licence of one node, looked at again and again, and the starts that it allows.

    Args:
        policy: decides.
        standing: of the first look.
        services: are started.
        alarms: told what is withheld, does not count, or ends soon.
        model: where the role machine stands.
        succession: sees to it that a node leads which may serve.
    """

    def __init__(
        self,
        policy: LicensePolicy,
        standing: Standing,
        services: Services,
        alarms: Alarms,
        model: Callable[[], Model],
        succession: Succession,
    ) -> None:
        self._policy = Guarded(policy)
        self._standing = standing
        self._services = services
        self._alarms = alarms
        self._model = model
        self._succession = succession
        succession.note(standing)

    async def start(self, names: Sequence[str], epoch: Epoch) -> tuple[str, ...]:
        """Start the services of a primacy, or withhold them: that is an alarm (R41).

        Returns:
            the names that count as active now, as :meth:`Services.active` says.
        """
        withhold = bool(await self._ask(by_operator=False))
        active = await self._services.start(names, epoch, withhold=withhold)
        self._tell()
        return active

    async def start_one(self, name: str, *, again: bool = False) -> None:
        """Start one service as its operator asks.

        Args:
            name: of the service.
            again: stop it before; that ends no grant, for it counts as active all the while.

        Raises:
            LicenceError: it does not allow that now.
            RefusedError: this node gave the services back meanwhile.
            ServiceError: it is unknown or cannot be started.
        """
        if why := await self._ask(by_operator=True):
            raise LicenceError(why)
        await (self._services.restart_one if again else self._services.start_one)(name)
        self._tell()

    @property
    def hindrance(self) -> str:
        """Why an operator could not start a service now; empty: he could."""
        return self._refusal(by_operator=True)

    async def _ask(self, *, by_operator: bool) -> str:
        """Why services may not start; before a no the licence is looked at anew."""
        if self._refusal(by_operator=by_operator):
            await self._look()
        return self._refusal(by_operator=by_operator)

    def _refusal(self, *, by_operator: bool) -> str:
        model = self._model()
        start = Start(
            via=Via.DIRECT if model.via is None else model.via,
            granted=model.durable.granted,
            by_operator=by_operator,
        )
        return self._policy.refusal(self._standing, start)

    async def run_forever(self) -> None:
        """Look whether the licence is another, and see to services that are withheld."""
        self._tell()
        while True:
            await trio.sleep(LOOK_S)
            await self._look()
            if self._services.withheld and not self._withheld:
                _ALLOWED()
                await self._services.start_withheld()
            self._tell()
            await self._succession.look(withheld=self._services.withheld)

    async def _look(self) -> None:
        try:
            self._standing = await self._policy.look(LOOK_BOUND_S)
        except LicenceError as error:
            text = f"{_unknown(error)}; what was known last counts"
            self._standing = attrs.evolve(self._standing, warning=text)
        self._succession.note(self._standing)

    def _tell(self) -> None:
        text = self._withheld or self._standing.problem or self._standing.warning
        self._alarms.tell(Alarm.LICENCE, (text,))

    @property
    def _withheld(self) -> str:
        """Why services are withheld; empty: none are."""
        return self._refusal(by_operator=False) if self._services.withheld else ""

    @property
    def status(self) -> LicenceStatus | None:
        """What ``sbs status`` shows; ``None`` where no licence is needed."""
        durable = self._model().durable
        granted = durable.held and durable.granted
        return LicenceStatus.of(self._standing, granted=granted, refusal=self._withheld)
