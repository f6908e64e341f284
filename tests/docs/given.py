"""What is on the machines before a how-to page begins: what it says that you need."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import attrs

from tests.docs.machines import ADDRESSES, Machines
from tests.support import wait_until

PRINTER: Final = """
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        data = self.rfile.read()
        with open("/srv/printed", "ab") as file:
            file.write(data)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("0.0.0.0", 9100), Handler).serve_forever()
"""
"""A network printer: what is sent to port 9100 is on paper, which is ``/srv/printed``."""


def do(machines: Machines, name: str, text: str) -> str:
    """Type commands at a machine; they must succeed."""
    code, said = machines.run(name, text)
    assert code == 0, said
    return said


def have_printer(machines: Machines) -> None:
    """``gamma`` is a printer."""
    machines.write("gamma", "/srv/printer.py", PRINTER)
    do(machines, "gamma", "systemd-run --quiet --unit=printer python3 /srv/printer.py")


def have_printer_and_share(machines: Machines) -> None:
    """The same, and a folder that both nodes have."""
    have_printer(machines)
    for name in ("alpha", "beta"):
        do(machines, name, f"mkdir /srv/capture && mount --bind {machines.share} /srv/capture")


def have_postgres(machines: Machines) -> None:
    """A new server on both nodes, as Debian's package makes it."""
    for name in ("alpha", "beta"):
        do(machines, name, "rm -rf /etc/postgresql/* /var/lib/postgresql/*")
        version = do(machines, name, "ls /usr/lib/postgresql").split()[-1]
        do(machines, name, f"pg_createcluster {version} main")
        do(machines, name, f"systemctl start postgresql@{version}-main")


NODE: Final = """
[node]
name = "{own}"
listen = "{at}:4445"
peer = "{peer}:4445"
state_dir = "/var/lib/sbs"

[tls]
identity = "identity.pem"
peer_certificate = "peer.pem"

[sync]
strict_delete = true

[[folders]]
name = "settings"
path = "/srv/app/settings"

[services]
adapter = "systemd"

[[services.unit]]
name = "app"
"""

APP: Final = """
[Service]
ExecStart=/usr/bin/python3 -m http.server 8080 --directory /srv/app/settings
"""

FILES: Final = {
    "index.html": "Welcome\n",
    "hours.txt": "Open from 9 to 5\n",
    "prices.txt": "Tea 2.10\n",
}


def have_taken_over(machines: Machines) -> None:
    """``alpha`` has led, and died just after it wrote a file; ``beta`` leads."""
    for own, other in (("alpha", "beta"), ("beta", "alpha")):
        node = NODE.format(own=own, at=ADDRESSES[own], peer=ADDRESSES[other])
        machines.write(own, "/etc/sbs/sbs.toml", node)
        machines.write(own, "/etc/systemd/system/app.service", APP)
        do(machines, own, "mkdir -p /srv/app/settings /srv/share")
        do(machines, own, f"mount --bind {machines.share} /srv/share && sbs service install")
    for name, text in FILES.items():
        machines.write("alpha", f"/srv/app/settings/{name}", text)
    for name in ("alpha", "beta"):
        do(machines, name, "systemctl daemon-reload && systemctl start sbs")
    wait_until(lambda: "in step" in do(machines, "beta", "sbs status"), "beta has a copy")
    do(machines, "alpha", "systemctl kill --signal=KILL sbs && systemctl stop sbs")
    machines.write("alpha", "/srv/app/settings/hours.txt", "Open from 9 to 6\n")
    wait_until(lambda: "PRIMARY" in do(machines, "beta", "sbs status"), "beta has taken over")


def printed(machines: Machines) -> None:
    """Each of the two that a page sends is on paper, once."""
    paper = machines.path("gamma", "/srv/printed")
    wait_until(lambda: "second" in paper.read_text(), "both are printed")
    assert re.findall("first|second", paper.read_text()) == ["first", "second"]


def nothing(_: Machines) -> None:
    """The page brings all."""


@attrs.frozen(kw_only=True)
class Given:
    """What a page rests on.

    Args:
        programs: that this machine must have.
        paired: the nodes know each other, as ``sbs pair`` leaves it.
        prepare: what is done before.
        check: what is looked at afterwards, beside what the page shows.
    """

    programs: tuple[str, ...] = ()
    paired: bool = True
    prepare: Callable[[Machines], None] = nothing
    check: Callable[[Machines], None] = nothing


GIVEN: Final = {
    "after-a-takeover": Given(prepare=have_taken_over),
    "etcd-witness": Given(programs=("etcd",)),
    "floating-address": Given(programs=("curl",)),
    "haproxy": Given(programs=("curl", "haproxy")),
    "home-automation": Given(programs=("curl",)),
    "label-printing": Given(prepare=have_printer_and_share, check=printed),
    "postgresql": Given(programs=("pg_createcluster", "psql"), prepare=have_postgres),
    "print-server": Given(programs=("cupsd", "lp"), prepare=have_printer, check=printed),
    "two-servers": Given(paired=False),
}
