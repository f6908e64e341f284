"""``python -m tests.windows.hold NAME``: start a service, print its process, wait to be killed."""

from __future__ import annotations

import sys

import trio

from sbs.adapters.services.windows.adapter import open_controller
from sbs.ports import Unit
from tests.windows.shim import let_trio_run


async def main(name: str) -> None:
    """Never ends by itself."""
    async with open_controller([Unit(name=name)], []) as controller:
        await controller.start(name, {})
        _, pid = (await controller.states())[name].detail.split()
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        await trio.sleep_forever()


if __name__ == "__main__":
    let_trio_run()
    trio.run(main, sys.argv[1])
