"""Two real nodes on which the commands of the pages' transcripts are run."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sbs import Licence, LicenceKind
from sbs.adapters.licences import form
from tests.adapters.smtp_servers import MailServer
from tests.cli.waiting import waiting
from tests.docs.blocks import ROOT
from tests.support import SBS, WAIT_S
from tests.system.nodes import Node, Pair

PROMPT: Final = re.compile(r"^(?:(alpha|beta) )?\$ (?:sudo )?(.*)\n", re.MULTILINE)

FIRST_LINE: Final = "On the other node run, within 10 minutes, with its -c FILE:"
"""Of what ``sbs pair`` shows; :func:`waiting` compares it."""

VENDOR: Final = Ed25519PrivateKey.from_private_bytes(bytes(32))


def steps(text: str) -> Iterator[tuple[str, str, str]]:
    """What a transcript shows: at which node a command is typed, the command, and what it prints.

    The node is the one of the prompt, else the one whose file follows ``-c``.
    """
    before, *parts = PROMPT.split(text)
    assert not before, f"a transcript begins with a prompt: {text}"
    for at, command, printed in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        named = re.search(r"-c (alpha|beta)\.toml", command)
        yield at or (named[1] if named else "alpha"), command, printed


class Stage:
    """A pair as the pages have it: the folder ``/srv/app/settings``, and one service.

    Args:
        directory: empty.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pair = Pair(directory)
        self.alpha, self.beta = self.pair.nodes
        self.mail: MailServer | None = None
        command = [sys.executable, "-c", "import time; time.sleep(1000)"]
        for node in self.pair.nodes:
            node.configure(
                {
                    "sync": {"watch": False, "period_s": 3600, "strict_delete": True},
                    "services": {"unit": [{"name": "printer-1", "command": command}]},
                }
            )
            (directory / f"{node.name}.toml").symlink_to(node.config)
        self.replicate("settings")

    def replicate(self, name: str, *filters: str) -> None:
        """Both nodes have one folder, of this name."""
        for node in self.pair.nodes:
            path = node.directory / name
            path.mkdir(exist_ok=True)
            folder = {"name": name, "path": str(path), "filters": list(filters)}
            node.configure({"folders": [folder]})

    def node(self, name: str) -> Node:
        """The node of a name."""
        return {node.name: node for node in self.pair.nodes}[name]

    def run(self, at: str, command: str) -> str:
        """Type a command at a node; what it prints, errors as well, with the paths of the pages."""
        node = self.node(at)
        command = command.replace("/srv/app", str(node.directory))
        if command.startswith("sbs restore"):  # the number is this run's own
            number = self._newest_version(node, "main.ini")
            command = re.sub(r"--generation \d+", f"--generation {number}", command)
        program, *words = shlex.split(command)
        assert program == "sbs", command
        if words[0] == "pair" and "--show" not in words:
            return self._pair(node, words[1:])
        return self._typed(node, words)

    def _typed(self, node: Node, words: list[str]) -> str:
        done = subprocess.run(
            [*SBS, *words],
            cwd=self.directory,
            env={
                **os.environ,
                "LC_ALL": "C.UTF-8",
                "PYTHONPATH": str(ROOT),
                "SBS_CONFIG": str(node.config),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        said = done.stdout.replace(str(node.directory), "/srv/app")
        return said.replace("localhost", "mail.example.org")

    def _pair(self, node: Node, words: list[str]) -> str:
        """``sbs pair``: it waits, and what it shows is all that counts; or it calls the other."""
        called = any(word[0].isdigit() for word in words)
        waits = self.alpha if called and node is self.beta else node
        with waiting(waits.config, *([] if called else words)) as (_, address, code):
            if called:
                return self._typed(node, ["pair", address, code])
            return f"{FIRST_LINE}\n  sbs pair {address} {code}\n"

    def write(self, node: Node, name: str, text: str) -> None:
        """Write a file of the primary, and have the update with it sent."""
        (node.directory / name).write_text(text)
        done = node.sbs("sync")
        assert done.returncode == 0, done.stderr

    def _newest_version(self, node: Node, path: str) -> int:
        done = node.sbs("history", "--folder", "settings", path, "--json")
        return int(json.loads(done.stdout)["versions"][0]["generation"])


@contextmanager
def stage_in(directory: Path) -> Iterator[Stage]:
    """A stage whose nodes end with the block."""
    stage = Stage(directory)
    try:
        yield stage
    finally:
        stage.pair.end()
        if stage.mail is not None:
            stage.mail.stop()


def running(stage: Stage) -> None:
    """Both nodes run, and are in step."""
    stage.pair.start()


def alone(stage: Stage) -> None:
    """A primary has no secondary."""
    stage.alpha.start()
    stage.alpha.wait_role("primary")


def filtered(stage: Stage) -> None:
    """The folder of docs/configuration.md, "Filters"."""
    stage.replicate("settings", "+ **", "- *.tmp")


def stranded(stage: Stage) -> None:
    """The primary is lost, and nobody takes over."""
    stage.pair.start()
    assert stage.alpha.sbs("pause").returncode == 0
    stage.alpha.kill()
    stage.beta.wait_alarm("primary-lost")


def overtaken(stage: Stage) -> None:
    """The primary's process was killed."""
    stage.pair.start()
    stage.alpha.kill()
    stage.beta.wait_role("primary")


def aged(stage: Stage) -> None:
    """Two generations; the second has one file written anew and one deleted."""
    settings = stage.alpha.directory / "settings"
    for name in ("main.ini", "old.ini"):
        (settings / name).write_text("colour = blue\n")
    stage.pair.start()
    (settings / "old.ini").unlink()
    stage.write(stage.alpha, "settings/main.ini", "colour = green\n")


def aged_on_both(stage: Stage) -> None:
    """The same, and then each node has been secondary while something was written."""
    aged(stage)
    assert stage.alpha.sbs("switchover").returncode == 0
    stage.pair.wait_settled(stage.beta, stage.alpha)
    stage.write(stage.beta, "settings/main.ini", "colour = red\n")
    assert stage.beta.sbs("switchover").returncode == 0
    stage.pair.wait_settled(stage.alpha, stage.beta)


def held(stage: Stage) -> None:
    """An update that deletes more than the guard lets pass, and a change of each kind."""
    stage.replicate("data")
    data = stage.alpha.directory / "data"
    (data / "reports").mkdir()
    reports = [data / "reports" / f"2025-0{month}.pdf" for month in (1, 2, 3)]
    for path in (*reports, data / "settings.xml", data / "index.db"):
        path.write_text("blue")
    stage.pair.start()
    for path in reports:
        path.unlink()
    (data / "settings.xml").write_text("yellow")
    (data / "index.db").write_text("pink")
    (data / "notes.txt").write_text("new")


def licensed(stage: Stage) -> None:
    """``beta`` has the licence of docs/licences.md, and one for ``alpha`` lies beside it."""
    found = Licence(
        serial="2026-0017",
        kind=LicenceKind.BACKUP,
        holder="Example Ltd",
        node="beta",
        issued=dt.date(2026, 1, 31),
        expires=dt.date(2027, 1, 31),
    )
    (stage.directory / "beta.licence").write_bytes(form.sign(found, VENDOR))
    other = form.sign(attrs.evolve(found, node="alpha"), VENDOR)
    (stage.directory / "new.licence").write_bytes(other)
    keys = [form.key_text(VENDOR.public_key())]
    licence = {"adapter": "file", "path": "beta.licence", "trusted_keys": keys}
    stage.beta.configure({"licence": licence})


def strange(stage: Stage) -> None:
    """The nodes do not know each other yet."""
    files = {"identity": "identity.pem", "peer_certificate": "peer.pem"}
    for node in stage.pair.nodes:
        node.configure({"tls": files})


def known(stage: Stage) -> None:
    """The nodes know each other."""
    strange(stage)
    stage.run("beta", "sbs pair 192.0.2.1:4449 482-913-007")


def mailing(stage: Stage) -> None:
    """``beta`` mails through ``stage.mail``, which takes another password for right."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(stage.directory / "ca.pem"))
    stage.mail = MailServer(security="starttls", password=secrets.token_hex(), ca=authority)
    stage.mail.start()
    (stage.directory / "password").touch(0o600)
    (stage.directory / "password").write_text("wrong\n")
    stage.beta.configure(
        {
            "mail": {
                "enabled": True,
                "server": "localhost",
                "port": stage.mail.port,
                "security": "starttls",
                "ca_file": "ca.pem",
                "account": "sbs",
                "password_file": "password",
                "sender": "sbs@example.org",
                "receivers": ["night-shift@example.org"],
            }
        }
    )


PREPARED: Final[dict[str, Callable[[Stage], None]]] = {
    "sbs drill": running,
    "sbs pause": running,
    "sbs stop": alone,
    "sbs takeover": stranded,
    "sbs explain": filtered,
    "sbs history": aged,
    "sbs roles": overtaken,
    "sbs restore": aged_on_both,
    "sbs diff": held,
    "sbs licence": licensed,
    "sbs mail": mailing,
    "sbs pair": strange,
    "sbs pair --show": known,
}
"""How things stand before the first command of a transcript is typed, by how it begins."""
