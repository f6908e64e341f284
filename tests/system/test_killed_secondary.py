"""The secondary is killed in the middle of an update (Must show 8)."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from sbs.errors import SbsError
from tests.support import WAIT_S, wait_until
from tests.system.nodes import Node, Pair, pair_in
from tests.system.stamps import generations_in, write_generation

KILLS = 50
PAIRS_AT_ONCE = 2
SETTINGS = {
    "sync": {"strict_delete": True, "watch": False, "period_s": 3600},
    "services": {"unit": []},
}


def test_a_killed_secondary_holds_one_generation(tmp_path: Path) -> None:
    """B20: at 50 random instants of transfer, commit and apply; seen before it reconnects."""

    def kill_often(seed: int) -> Counter[tuple[str, str]]:
        with pair_in(tmp_path / str(seed), SETTINGS) as pair:
            return _kill_often(pair, random.Random(seed), KILLS // PAIRS_AT_ONCE)

    with ThreadPoolExecutor(PAIRS_AT_ONCE) as pool:
        seen = sum(pool.map(kill_often, range(PAIRS_AT_ONCE)), Counter[tuple[str, str]]())
    # A generation exists from the moment its commit stands in the journal, and not before.
    assert set(seen) <= {
        ("transfer", "old"),
        ("apply", "new"),
        ("between", "old"),
        ("between", "new"),
    }, seen
    assert seen["transfer", "old"], f"no instant fell into a transfer: {seen}"
    assert seen["apply", "new"], f"no instant fell into an apply: {seen}"


def _kill_often(pair: Pair, choice: random.Random, count: int) -> Counter[tuple[str, str]]:
    alpha, beta = pair.alpha, pair.beta
    write_generation(alpha.folder, 1)
    pair.start()
    wait_until(lambda: _holds(beta, 1), "the first generation has arrived")
    write_generation(alpha.folder, 2)
    began_at = time.monotonic()
    alpha.ask("sync")
    wait_until(lambda: _holds(beta, 2), "the second has arrived")
    update_s = time.monotonic() - began_at
    seen = Counter[tuple[str, str]]()
    for generation in range(3, 3 + count):
        write_generation(alpha.folder, generation)
        seen[_kill_in_update(pair, choice.uniform(0, 0.8 * update_s), generation)] += 1
    return seen


def _kill_in_update(pair: Pair, delay_s: float, generation: int) -> tuple[str, str]:
    """Kill the secondary while it takes ``generation``; see what it holds when it runs again.

    Returns:
        the phase it was in, and whether it held the "old" or the "new" generation.
    """
    alpha, beta = pair.alpha, pair.beta
    with ThreadPoolExecutor(1) as pool:
        update = pool.submit(alpha.ask, "sync")
        time.sleep(delay_s)
        beta.kill()
        with suppress(SbsError):  # the secondary was lost
            update.result(WAIT_S)
    phase = _phase(beta)
    # A frozen primary sends nothing: what stands in the folder is the secondary's own.
    alpha.signal(signal.SIGSTOP)
    beta.start()
    beta.wait_role("probing")
    found = generations_in(beta.folder)
    left = {path.name for path in beta.folder.glob(".sbs.staging/*")}
    alpha.signal(signal.SIGCONT)
    assert found in ({generation - 1}, {generation}), f"{found} after a kill in {phase}"
    assert left <= {"versions"}, f"a temporary file after a kill in {phase}"
    assert not list(beta.folder.glob(".sbs.staging.*"))
    pair.wait_settled(alpha, beta)
    wait_until(lambda: _holds(beta, generation), f"generation {generation} has arrived")
    return phase, "new" if found == {generation} else "old"


def _phase(node: Node) -> str:
    """What a killed node was doing, by its journal."""
    journal = node.state_dir / "journal"
    if (journal / "commit").exists():
        return "apply"
    return "transfer" if (journal / "staged").exists() else "between"


def _holds(node: Node, generation: int) -> bool:
    """Whether the node's folder is exactly this generation; while it is applied it is not."""
    try:
        return generations_in(node.folder) == {generation}
    except (ValueError, FileNotFoundError):
        return False
