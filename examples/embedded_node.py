"""A node inside one's own trio program, which reacts to the node's role.

    python examples/embedded_node.py DIRECTORY

The program is the node's host: it runs in the program's nursery, beside its other tasks, and ends
with them. Here it finds no peer, becomes primary, and is stopped in order.
"""

from __future__ import annotations

import os
import sys

import trio

import sbs

CONFIGURATION = """
[node]
name = "embedded"
listen = "127.0.0.1:0"
peer = "127.0.0.1:1"
state_dir = "state"

[[folders]]
name = "settings"
path = "settings"
"""


async def follow_role(node: sbs.Node) -> None:
    """Print each role; a real program would open or close what only the primary may have open."""
    role = node.role
    while True:
        print(f"role: {role.value}")
        role = await node.wait_role_change(role)


async def main(directory: str) -> None:
    """Run a node until it has served."""
    os.makedirs(os.path.join(directory, "settings"), exist_ok=True)
    config = sbs.parse_config(CONFIGURATION, os.path.join(directory, "embedded.toml"))
    node = sbs.Node(config)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow_role, node)
        async with trio.open_nursery() as life:
            await life.start(node.run)  # raises sbs.SbsError if it cannot start
            while node.role is not sbs.Role.PRIMARY:
                await node.wait_role_change(node.role)
            status = await node.status()
            print(f"{status.name} leads in epoch {status.epoch}")
            await node.stop()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: embedded_node.py DIRECTORY")
    trio.run(main, sys.argv[1])
