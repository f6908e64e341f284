"""Drive two nodes of a pair in virtual time: start, write, kill, take over, return.

No socket, no thread, no waiting: the role machine is the one that runs in production, and the
same seed tells the same story. ``python examples/simulated_pair.py``
"""

from __future__ import annotations

from sbs.testing.simpair import SimPair


def show(pair: SimPair, what: str) -> None:
    """Print where both nodes stand."""
    print(f"{pair.clock.now:5.1f} s  {what}")
    for node in pair.nodes:
        serving = "" if node.serving is None else f", serves with SBS_EPOCH {node.serving.number}"
        state = node.model.state.value if node.running else "not running"
        print(f"         {node.settings.name}: {state}, holds write {node.disk.tree}{serving}")


def main() -> None:
    """Tell the story of one takeover."""
    pair = SimPair(seed=2024)
    alpha, beta = pair.nodes

    alpha.start()
    pair.run(1.0)
    beta.start()
    pair.run(1.0)
    show(pair, "both were started")

    alpha.write()
    pair.run(1.0)
    show(pair, "the application wrote, and the write was replicated")

    alpha.crash()
    killed_at = pair.clock.now
    while beta.serving is None:
        pair.run(0.01)
    assert pair.clock.now - killed_at < beta.settings.down_interval_s
    pair.run(1.0)
    show(pair, "a was killed; its port refuses, so b took over at once")

    beta.write()
    alpha.start()
    pair.run(3.0)
    assert pair.settled
    show(pair, "a runs again and follows b")


if __name__ == "__main__":
    main()
