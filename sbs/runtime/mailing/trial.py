"""A test message: the way of every other one, but not through the queue, and step by step (R50)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import trio

from sbs.adapters import notifiers
from sbs.config import Config
from sbs.core.notice import Kind, Notice
from sbs.errors import ConfigError
from sbs.ports import SendStep
from sbs.runtime.mailing.password import notifier_options


def send_test(config: Config, password: str, show: Callable[[SendStep], None], *, why: str) -> None:
    """Send a message to all receivers; takes an event loop of its own.

    Args:
        config: of the node, which need not run.
        password: used where no file is configured.
        show: told each step, also the one that fails.
        why: what sends it, for the message.

    Raises:
        ConfigError: sender or receivers are not set.
        NotifyError: a step failed.
    """
    for key, value in (("sender", config.mail.sender), ("receivers", config.mail.receivers)):
        if not value:
            raise ConfigError(f"{config.path}: mail.{key} is not set: a message needs it")
    open_notifier = notifiers.load(config.mail.adapter)
    options = notifier_options(config.mail, password)

    async def send() -> None:
        async with open_notifier(options) as notifier:
            await notifier.send(_notice(config, why), config.mail.receivers, show)

    trio.run(send)


def _notice(config: Config, why: str) -> Notice:
    now = time.time()
    return Notice(
        id=f"test.{secrets.token_hex(8)}",
        kind=Kind.TEST,
        at=now,
        utc_offset_s=time.localtime(now).tm_gmtoff,
        node=config.node.name,
        peer=str(config.node.peer),
        why=why,
    )
