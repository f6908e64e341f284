"""What each machine of a pair has to have beside SBS (R64); each node tells the other in its hello.

A finding travels as a fact whose value begins with the word of its result: ``pass 10.0.0.1 is
fixed``. So a probe shows the rows of both machines, and needs an account on one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs

from sbs.config import Config
from sbs.config.places import is_definite, is_loopback
from sbs.core.address import Address
from sbs.core.messages import Fact
from sbs.core.printable import plain
from sbs.runtime.probing.checks import Result

COMMAND_BOUND_S: Final = 5.0
"""How long ``ip`` or ``systemctl`` may take: they only look."""

NAME_BOUND_S: Final = 3.0
"""How long the name service may take to say what this machine is called."""

MAX_TEXT_CHARS: Final = 1000
"""Of a finding: a fact has room for twice as much."""

SHARED: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "gfs2", "lustre", "nfs", "nfs4", "ocfs2", "smb3"}
    | {"fuse.ceph-fuse", "fuse.glusterfs", "fuse.sshfs"}
)
"""File systems that several machines may have at once."""


@attrs.frozen(kw_only=True)
class Premise:
    """A row of R64 that each machine answers for itself.

    Args:
        look: at this machine; returns the result and what was found.
        trouble: what is wrong where it does not pass, a sentence.
        hint: what to do where it does not pass.
        same: what both machines found has to be the same, too.
    """

    look: Callable[[Config], tuple[Result, str]]
    trouble: str
    hint: str
    same: bool = False


def findings(config: Config) -> tuple[Fact, ...]:
    """Look at this machine; takes seconds where a name service does not answer."""
    return tuple(_fact(name, premise, config) for name, premise in PREMISES.items())


def _fact(name: str, premise: Premise, config: Config) -> Fact:
    result, text = premise.look(config)
    return Fact(name, f"{result.value} {plain(text)[:MAX_TEXT_CHARS]}")


def result_of(value: str) -> tuple[Result, str]:
    """Result and text of a finding; what another node tells may be anything."""
    word, _, text = value.partition(" ")
    try:
        return Result(word), text
    except ValueError:
        return Result.WARN, value


def _address(config: Config) -> tuple[Result, str]:
    """Whether the address by which the peer knows this node stays what it is."""
    try:
        address = _own_address(config)
    except OSError as error:
        return Result.WARN, f"this node's own address cannot be told: {error.strerror or error}"
    if is_loopback(address):
        return Result.PASS, f"{address} is this machine's alone"
    for device in json.loads(output_of("ip", "-json", "address", "show", "to", address) or "[]"):
        for entry in device.get("addr_info", ()):
            if entry.get("dynamic"):
                left_s = entry.get("valid_life_time", 0)
                return Result.WARN, f"{address} was assigned to this machine for {left_s} s more"
            return Result.PASS, f"{address} is fixed"
    return Result.WARN, f"whether {address} is fixed cannot be told"


def _own_address(config: Config) -> str:
    listen = config.node.listen
    if is_definite(listen):
        return str(socket.getaddrinfo(listen.host, None, type=socket.SOCK_DGRAM)[0][4][0])
    peer = config.node.peer
    family, kind, protocol, _, place = socket.getaddrinfo(
        peer.host, peer.port, type=socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as sock:
        sock.connect(place)  # sends nothing
        return str(sock.getsockname()[0])


def _domain(_config: Config) -> tuple[Result, str]:
    names: list[str] = []
    # A thread of its own, for a lookup has no time limit.
    looking = threading.Thread(target=lambda: names.append(socket.getfqdn()), daemon=True)
    looking.start()
    looking.join(NAME_BOUND_S)
    if not names:
        return Result.WARN, f"the name service did not answer in {NAME_BOUND_S:g} s"
    return Result.PASS, names[0].partition(".")[2].lower() or "in no domain"


def _start_type(config: Config) -> tuple[Result, str]:
    """Whether nothing but SBS starts the services (R30)."""
    adapter, names = config.services.adapter, [unit.name for unit in config.services.unit]
    if not names:
        return Result.PASS, "no services"
    if adapter == "process":
        return Result.PASS, "the services are processes of SBS"
    if adapter == "windows":
        return Result.PASS, "SBS sets it to manual whenever it starts"
    if adapter != "systemd":
        return Result.WARN, f"what starts the services of the adapter {adapter!r} is not known"
    patterns = [name if "." in name else f"{name}.service" for name in names]
    states = "--state=enabled,enabled-runtime"
    listed = output_of("systemctl", "list-unit-files", "--no-legend", states, "--", *patterns)
    if listed is None:
        return Result.WARN, "systemctl does not answer"
    enabled = [line.split()[0] for line in listed.splitlines() if line.split()]
    if enabled:
        return Result.FAIL, f"starts with the machine: {', '.join(enabled)}"
    return Result.PASS, "SBS alone starts the services"


def _install_path(config: Config) -> tuple[Result, str]:
    path = config.requirements.install_path
    if not path:
        return Result.PASS, "not set"
    if not os.path.isdir(path):
        return Result.FAIL, f"{path} is no directory"
    return Result.PASS, f"{path} is there"


def _account(config: Config) -> tuple[Result, str]:
    name = config.requirements.account
    if not name:
        return Result.PASS, "not set"
    try:
        import pwd  # noqa: PLC0415 - not on Windows
    except ImportError:
        return Result.WARN, f"whether {name} exists is not looked up on this system"
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return Result.FAIL, f"there is no account {name}"
    return Result.PASS, f"{name} exists, number {found.pw_uid}"


def _capture_folder(config: Config) -> tuple[Result, str]:
    """Whether the folder is one that the other machine can have, too."""
    path = config.requirements.capture_folder
    if not path:
        return Result.PASS, "not set"
    if not os.path.isdir(path):
        return Result.FAIL, f"{path} is no directory"
    kind, source = _mount_of(os.path.realpath(path))
    if kind in SHARED:
        return Result.PASS, f"{kind} {source}, file {os.stat(path).st_ino}"
    return Result.WARN, f"{path} lies on this machine's own disk ({kind or 'unknown'})"


def _mount_of(path: str, table: str = "/proc/self/mountinfo") -> tuple[str, str]:
    """Type and source of the file system that a path lies on; empty where nobody tells."""
    found: dict[str, tuple[str, str]] = {}
    for point, kind, source in _mounts(table):
        if os.path.commonpath([point, path]) == point:
            found[point] = (kind, source)  # what is mounted last lies on top
    return found[max(found, key=len)] if found else ("", "")


def _mounts(table: str) -> Iterator[tuple[str, str, str]]:
    """Mount point, type and source of each mount (proc(5), ``mountinfo``)."""
    try:
        with open(table, "rb") as lines:
            for line in lines:
                fields, _, rest = line.partition(b" - ")
                point = fields.split()[4].decode("unicode_escape").encode("latin-1")
                kind, source, *_ = os.fsdecode(rest).split()
                yield os.fsdecode(point), kind, source
    except OSError:
        return


def output_of(*command: str) -> str | None:
    """What a command prints; ``None`` if it fails or is not there.

    Exit code 1 without a word is no failure: so systemctl lists no unit files (252).
    """
    try:
        done = subprocess.run(  # noqa: S603 - constants of this module
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_BOUND_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found_nothing = done.returncode == 1 and not done.stderr
    return done.stdout if done.returncode == 0 or found_nothing else None


PREMISES: Final[Mapping[str, Premise]] = {
    "machine.address": Premise(
        look=_address,
        trouble="The address of a machine is assigned for a time only, or that cannot be told.",
        hint="give both machines fixed addresses, not assigned ones",
    ),
    "machine.domain": Premise(
        look=_domain,
        trouble="The machines are in different domains, or the name service does not answer.",
        hint="put both machines into the same domain",
        same=True,
    ),
    "machine.start-type": Premise(
        look=_start_type,
        trouble="Something else than SBS starts a service, or may.",
        hint="see to it that nothing but SBS starts the services: set their start type to manual, "
        "or take them out of the boot sequence",
    ),
    "machine.install-path": Premise(
        look=_install_path,
        trouble="What `requirements.install_path` names is not there.",
        hint="install the application on both machines, at the same place",
    ),
    "machine.account": Premise(
        look=_account,
        trouble="There is no account as `requirements.account` names it.",
        hint="create the account on both machines",
    ),
    "machine.capture-folder": Premise(
        look=_capture_folder,
        trouble="What `requirements.capture_folder` names is not there, is not the same on both "
        "machines, or lies on the disk of one.",
        hint="mount the same shared folder on both machines",
        same=True,
    ),
}
"""The rows, in their order."""


def leads_here(peer: Address, listen: Address) -> bool | None:
    """Whether the address that the other node calls is one that this node serves.

    Args:
        peer: what the other node has as ``node.peer``.
        listen: of this node.

    Returns:
        ``None`` if its name is not known here.
    """
    if listen.port not in (0, peer.port):
        return False
    try:
        found = socket.getaddrinfo(peer.host, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return None
    return any(_is_own(family, place) for family, _, _, _, place in found)


def _is_own(family: int, place: tuple[object, ...]) -> bool:
    """Whether an address is this machine's: nobody else can bind a socket to it."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(place)
        except OSError:
            return False
        return True
