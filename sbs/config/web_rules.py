"""What must hold between the settings of the status by HTTP and others (B61)."""

from __future__ import annotations

from collections.abc import Iterator
from gettext import gettext as _

from sbs.config.places import is_loopback, same_place
from sbs.config.problems import Problem, about
from sbs.config.settings import Config
from sbs.config.text import shown


def check_web(config: Config) -> Iterator[Problem]:
    """What is wrong although each value by itself is allowed."""
    listen, node = config.web.listen, config.node
    if listen is not None and listen.port and same_place(listen, node.listen):
        text = _("is node.listen = {value}, too; allowed is a port of its own")
        text = text.format(value=shown(node.listen))
        keys = (("web", "listen"), ("node", "listen"))
        yield Problem(about(("web", "listen"), listen, text), keys)


def warn_web(config: Config) -> Iterator[str]:
    """What an administrator should know."""
    listen = config.web.listen
    if listen is not None and not is_loopback(listen.host):
        text = _(
            "web.listen = {value} is beyond loopback: whoever reaches the port reads the names of "
            "nodes, services and files; let only load balancer and monitoring through (docs/web.md)"
        )
        yield text.format(value=shown(listen))
