"""What must hold between the settings of TLS and others (B62)."""

from __future__ import annotations

from collections.abc import Iterator
from gettext import gettext as _

from sbs.config.places import is_loopback
from sbs.config.problems import Problem, about
from sbs.config.settings import Config


def check_tls(config: Config) -> Iterator[Problem]:
    """What is wrong although each value by itself is allowed."""
    tls, listen = config.tls, config.node.listen
    for name, other in (("identity", "peer_certificate"), ("peer_certificate", "identity")):
        if getattr(tls, name) and not getattr(tls, other):
            yield Problem(
                _("tls.{other} is not set: tls.{name} requires it; set both, or none").format(
                    other=other, name=name
                ),
                (("tls", other), ("tls", name)),
            )
    if tls.is_on and tls.identity == tls.peer_certificate:
        text = _("is tls.identity, too; allowed is a file of its own, with the peer's certificate")
        yield Problem(
            about(("tls", "peer_certificate"), tls.peer_certificate, text),
            (("tls", "peer_certificate"), ("tls", "identity")),
        )
    if not (tls.is_on or tls.insecure or is_loopback(listen.host)):
        # B62: a node never listens beyond loopback without TLS unless told so.
        yield Problem(
            about(
                ("node", "listen"),
                listen,
                _(
                    "without tls.identity and tls.peer_certificate (sbs pair) allowed are only "
                    "loopback addresses (127.0.0.0/8, ::1, localhost), unless tls.insecure = true "
                    "says that everyone who reaches the port may pose as the peer"
                ),
            ),
            (("node", "listen"), ("tls", "identity"), ("tls", "insecure")),
        )


def warn_tls(config: Config) -> Iterator[str]:
    """What an administrator should know."""
    tls, listen = config.tls, config.node.listen
    if tls.insecure and (tls.is_on or is_loopback(listen.host)):
        if tls.is_on:
            yield _("tls.insecure = true has no effect: tls.identity is set; take it out")
        else:
            yield _(
                "tls.insecure = true has no effect: node.listen is a loopback address; take it out"
            )
