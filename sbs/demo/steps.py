"""The steps of the demo, in order; each shows one promise of SBS and fails if it is not kept."""

from __future__ import annotations

import datetime as dt
import os
import random
import statistics
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import trio

from sbs.adapters.transports.pairing import new_code, parse_code
from sbs.adapters.transports.tcp import TcpTransport
from sbs.core.address import Address
from sbs.demo.files import NAMES, check_copy, check_kept, read, same
from sbs.demo.members import Member
from sbs.demo.observer import LOOPBACK, ask
from sbs.demo.results import DemoError
from sbs.demo.stage import Stage, limit, run_sbs, until
from sbs.runtime.operating import control
from sbs.runtime.pairing.calling import call
from sbs.runtime.pairing.files import PairFiles
from sbs.runtime.pairing.meeting import Party
from sbs.runtime.pairing.waiting import wait_for_peer

CHANGES: Final = 25
"""Changes timed one by one: enough for a median, and over in about a second."""

LOOK_S: Final = 0.001
"""Pause between two looks for a changed file: what its time is exact to."""

WRITE_PAUSE_S: Final = 0.004
"""Pause between two writes under load."""

LOAD_S: Final = 0.7
"""How long files are written before the last certain update, and at most from there to the kill."""


@attrs.frozen
class Step:
    """One step: ``title`` says what is done, what ``run`` returns is what came of it."""

    name: str
    title: str
    run: Callable[[Stage], Awaitable[str]]


async def pair(stage: Stage) -> str:
    """Let the nodes learn each other's certificate by a code, as ``sbs pair`` does."""
    now, code = dt.datetime.now(dt.UTC), parse_code(new_code())
    alpha, beta = (
        Party.of(PairFiles(identity=each.identity, pins=each.pins), each.name, now, renew=False)
        for each in (stage.alpha, stage.beta)
    )
    listener = await TcpTransport().listen(f"{LOOPBACK}:0")
    with limit("the nodes know each other"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_peer, listener, code, alpha, now, stage.show)
            paired = await call(Address.parse(listener.address), code, beta, now, TcpTransport())
    await listener.aclose()
    return (
        f"{paired.own.name} and {paired.peer.name} know each other's certificate, and nobody else's"
    )


async def start(stage: Stage) -> str:
    """Start both nodes; the first becomes primary, the second follows it."""
    stage.files.write_all(stage.alpha.folder)
    stage.alpha.start(stage.nursery)
    await stage.reach(stage.alpha, "primary")
    epoch = await _next_primacy(stage, stage.alpha)
    stage.show(f"alpha is primary, its service answers in epoch {epoch}; starting beta")
    stage.beta.start(stage.nursery)
    status = await stage.reach(stage.beta, "secondary")
    await _settle(stage.alpha, stage.beta)
    return (
        f"alpha is primary, beta secondary with {len(NAMES)} files ({_generation(status)}), "
        "over TLS 1.3"
    )


async def replicate(stage: Stage) -> str:
    """Change files one by one, and time each until it stands on the secondary."""
    chance = random.Random(2)
    names = [chance.choice(NAMES[:-1]) for _ in range(CHANGES)]
    times_ms: list[float] = []
    for name in names:
        await trio.sleep(chance.uniform(0, 0.02))  # not in step with the node
        times_ms.append(await _time_change(stage, stage.alpha, stage.beta, name))
        stage.show(f"{len(times_ms)} of {CHANGES} arrived, the last in {times_ms[-1]:.0f} ms")
    stage.figures.replication_ms = round(statistics.median(times_ms), 1)
    stage.figures.replication_max_ms = round(max(times_ms), 1)
    return (
        f"{CHANGES} changes arrived within {stage.figures.replication_ms:.0f} ms "
        f"(median; slowest {stage.figures.replication_max_ms:.0f} ms)"
    )


async def take_over(stage: Stage) -> str:
    """Kill the primary amid writes; time the service's return."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_write_steadily, stage)
        await trio.sleep(LOAD_S)
        before = dict(stage.files.versions)
        await _update(stage.alpha)  # what was written before it is in a generation after it
        stage.files.certain = before
        await trio.sleep(random.uniform(0, LOAD_S))
        old = max(stage.observer.firsts)
        killed_at = trio.current_time()
        stage.alpha.kill()
        nursery.cancel_scope.cancel()
    stage.show("alpha was killed with SIGKILL")
    epoch = await _next_primacy(stage, stage.beta, old)
    answered_at = stage.observer.firsts[epoch].answered_at
    stage.figures.takeover_ms = round((answered_at - killed_at) * 1000, 1)
    with limit("nothing is left of alpha"):
        await stage.alpha.gone.wait()
    await stage.reach(stage.beta, "primary")
    return (
        f"alpha killed amid writes; {stage.figures.takeover_ms:.0f} ms later the service answers "
        f"on beta, epoch {epoch} after {old}"
    )


async def compare(stage: Stage) -> str:
    """Compare every file of the last complete generation with what was written."""
    files, figures = stage.files, stage.figures
    files.late = check_copy(stage.beta.folder, at_least=files.certain, at_most=files.versions)
    figures.files = len(files.certain)
    status = await stage.beta.status()
    late = sum(files.late.values())
    younger = f"; {late} changes were younger than it" if late else ""
    return f"{_generation(status)}: all {figures.files} files are whole, byte for byte{younger}"


async def rejoin(stage: Stage) -> str:
    """Restart the old primary: it becomes secondary, and its files those of the new primary.

    What was written there after the last update is in its quarantine, not lost.
    """
    began_at = trio.current_time()
    stage.alpha.start(stage.nursery)
    await stage.reach(stage.alpha, "secondary")
    stage.show("alpha is back as secondary")
    await _settle(stage.beta, stage.alpha)
    stage.figures.catch_up_ms = round((trio.current_time() - began_at) * 1000, 1)
    kept = check_kept(stage.alpha.folder, stage.files.late, stage.files.versions)
    took_ms = await _time_change(stage, stage.beta, stage.alpha, NAMES[0])
    younger = f", with {kept} files of its own in quarantine" if kept else ""
    return (
        f"alpha is secondary and equal to beta after {stage.figures.catch_up_ms:.0f} ms{younger}; "
        f"a change on beta arrives in {took_ms:.0f} ms"
    )


async def switch_back(stage: Stage) -> str:
    """Exchange the roles on demand; time how long the service does not answer."""
    observer = stage.observer
    old = max(observer.firsts)
    await run_sbs("switchover", "-c", stage.beta.config)
    new = await _next_primacy(stage, stage.alpha, old)
    await stage.reach(stage.alpha, "primary")
    await stage.reach(stage.beta, "secondary")
    gap_s = observer.firsts[new].answered_at - observer.lasts[old].answered_at
    stage.figures.switchover_gap_ms = round(gap_s * 1000, 1)
    await _settle(stage.alpha, stage.beta)
    return (
        f"alpha is primary again, epoch {new}; the service was away for "
        f"{stage.figures.switchover_gap_ms:.0f} ms, and no file differs"
    )


async def stop(stage: Stage) -> str:
    """Stop both nodes, the secondary first so that no role changes; look at what is left."""
    stage.figures.generations = (await stage.alpha.status())["generation"]
    for member in (stage.beta, stage.alpha):
        member.may_end = True
        await run_sbs("stop", "-c", member.config)
        with limit(f"{member.name} is gone"):
            await member.gone.wait()
        if member.exit_code:
            raise DemoError(f"{member.name} ended with code {member.exit_code}")
        stage.show(f"{member.name} has stopped")
    for member in (stage.alpha, stage.beta):
        if await ask(member.service_port) is not None:
            raise DemoError(f"the service of {member.name} answers still")
    stage.figures.epochs = tuple(sorted(stage.observer.firsts))
    if stage.observer.violation:
        raise DemoError(f"two services at a time: {stage.observer.violation}")
    return "both nodes have ended, and never did two services answer at a time"


STEPS: Final = (
    Step("pair", "Let two nodes know each other", pair),
    Step("start", "Start a primary and a secondary", start),
    Step("replicate", "Change files", replicate),
    Step("takeover", "Kill the primary while files are written", take_over),
    Step("compare", "Compare the last complete generation", compare),
    Step("rejoin", "Restart the old primary", rejoin),
    Step("switchover", "Switch back", switch_back),
    Step("stop", "Stop both", stop),
)


def _generation(status: dict[str, Any]) -> str:
    return f"generation {status['generation']}"


async def _update(member: Member) -> None:
    """Run one update to its end: what was there before is on the secondary after it."""
    await control.ask(member.state_dir, "sync")


async def _next_primacy(stage: Stage, member: Member, after: int = 0) -> int:
    """Wait for the service to answer on ``member`` in an epoch after ``after``; return that."""
    with limit(f"the service answers on {member.name}"):
        answer = await stage.observer.next_after(after)
    if answer.node != member.name:
        raise DemoError(f"the service answers on {answer.node}, not on {member.name}")
    return answer.epoch


async def _settle(primary: Member, secondary: Member) -> None:
    """Wait until the folders of both nodes are equal."""
    await until(
        lambda: same(primary.folder, secondary.folder),
        f"the files of {secondary.name} equal those of {primary.name}",
    )


async def _time_change(stage: Stage, primary: Member, secondary: Member, name: str) -> float:
    """Change a file on the primary; milliseconds until it stands on the secondary."""
    data = stage.files.write(primary.folder, name)
    began_at = trio.current_time()
    path = os.path.join(secondary.folder, name)
    await until(lambda: read(path) == data, f"{name} arrives on {secondary.name}", LOOK_S)
    return (trio.current_time() - began_at) * 1000


async def _write_steadily(stage: Stage) -> None:
    """Write files on alpha, one after the other, as a busy application does."""
    while True:
        stage.files.write_any(stage.alpha.folder)
        await trio.sleep(WRITE_PAUSE_S)
