"""How each alarm of a node comes: by what an administrator, a peer or a disk may do.

Two nodes run in this process, with folders, state and hooks on the disk.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from sbs.adapters.transports import tls_errors
from sbs.config import FolderSettings, HookSettings, MailSettings, TlsSettings, WebSettings
from sbs.core.address import Address
from sbs.core.alarm import Alarm
from sbs.core.claim import Role
from sbs.core.licence import Kind
from sbs.errors import ServiceError
from sbs.ports import Unit
from sbs.runtime.linking.identity_watch import IdentityWatch
from sbs.testing.licences import FakePolicy, licence
from sbs.testing.nodes import MemoryNode, MemoryPair, wait_until
from sbs.testing.services import FakeController
from tests.adapters.tls_rig import Identities
from tests.runtime.rig import fake


class Stubborn(FakeController):
    """Whose services survive the kill, if they are told to."""

    survives = False

    async def stop(self, name: str, timeout_s: float) -> None:
        await super().stop(name, timeout_s)
        if self.survives:
            raise ServiceError(f"service {name!r}: something of it still runs")


@asynccontextmanager
async def open_stubborn(
    units: Sequence[Unit], _held_fds: Sequence[int]
) -> AsyncGenerator[Stubborn, None]:
    await trio.lowlevel.checkpoint()
    yield Stubborn(units)


@attrs.frozen
class Scene:
    """Two nodes that have not been started, and where they lie."""

    pair: MemoryPair
    directory: Path
    patch: pytest.MonkeyPatch

    @property
    def alpha(self) -> MemoryNode:
        return self.pair.alpha

    @property
    def beta(self) -> MemoryNode:
        return self.pair.beta

    def configure(self, **sections: object) -> None:
        for node in (self.alpha, self.beta):
            node.config = attrs.evolve(node.config, **sections)  # type: ignore[arg-type]

    async def start(self, *names: str) -> None:
        """Both, with these files on both."""
        for name in names:
            self.alpha.write(name, name)
        await self.pair.start()
        for name in names:
            await self.beta.wait_file(name, name)
        await self.pair.wait_in_step(self.alpha)


async def learned_and_not_allowed(scene: Scene) -> MemoryNode:
    """Of the secondary's former primary; its own configuration does not name the folder."""
    await scene.start("file")
    await scene.alpha.kill()
    await scene.beta.kill()
    scene.beta.config = attrs.evolve(scene.beta.config, folders=())
    await scene.beta.start()
    await scene.beta.wait_role(Role.PRIMARY)
    await scene.alpha.start()
    return scene.beta


async def edited_on_both(scene: Scene) -> MemoryNode:
    await scene.start("file")
    scene.pair.cut()
    await scene.beta.wait_role(Role.PRIMARY)
    scene.alpha.write("file", "of alpha")
    scene.beta.write("file", "of beta")
    scene.pair.heal()
    return scene.alpha


async def sent_and_not_allowed(scene: Scene) -> MemoryNode:
    outside = scene.directory / "outside"
    outside.mkdir()
    folder = FolderSettings(name="else", path=str(outside))
    scene.alpha.config = attrs.evolve(scene.alpha.config, folders=(folder,))
    await scene.alpha.start()
    await scene.beta.start()
    return scene.beta


async def emptied(scene: Scene) -> MemoryNode:
    scene.configure(sync=attrs.evolve(scene.alpha.config.sync, strict_delete=True))
    await scene.start("one", "two", "three")
    for name in ("one", "two", "three"):
        os.unlink(f"{scene.alpha.folder}/{name}")
    return scene.alpha


async def too_many_watches(scene: Scene) -> MemoryNode:
    """The kernel's limit is for all processes of a user, so a fake refuses in its place."""

    class Full:
        inotify_init1 = staticmethod(lambda _flags: os.open("/dev/null", os.O_RDONLY))
        inotify_add_watch = staticmethod(lambda _fd, _path, _mask: -1)

    scene.patch.setattr("sbs.replication.leading.watch._libc", Full)
    scene.patch.setattr("ctypes.get_errno", lambda: errno.ENOSPC)
    await scene.start()
    return scene.alpha


async def failing_hooks(scene: Scene) -> MemoryNode:
    fails = (("false",),)
    scene.configure(hooks=HookSettings(update=fails, apply=fails, transition=fails))
    await scene.start("file")
    return scene.alpha


async def failing_hooks_there(scene: Scene) -> MemoryNode:
    await failing_hooks(scene)
    return scene.beta


async def licence_of_a_backup(scene: Scene) -> MemoryNode:
    policy = FakePolicy()
    policy.put(licence(Kind.BACKUP, "alpha"), "alpha")
    scene.alpha.licence = policy.open
    await scene.alpha.start()
    return scene.alpha


async def crashed(scene: Scene) -> MemoryNode:
    await scene.start()
    fake(scene.alpha).crash("printer-1")
    return scene.alpha


async def given_up(scene: Scene) -> MemoryNode:
    scene.configure(services=attrs.evolve(scene.alpha.config.services, restart_limit=0))
    return await crashed(scene)


async def ending_again(scene: Scene) -> MemoryNode:
    scene.patch.setattr("sbs.core.restarts.APART_S", 0.0)
    settings = attrs.evolve(scene.alpha.config.services, restart_delay_s=0.01)
    scene.configure(services=settings)
    await scene.start()
    services = fake(scene.alpha)
    for _ in range(2):
        await wait_until(lambda: services.present["printer-1"].running, "it runs")
        services.crash("printer-1")
    return scene.alpha


async def not_started(scene: Scene) -> MemoryNode:
    await scene.start()
    fake(scene.beta).fail_start("printer-1")
    await scene.alpha.kill()
    return scene.beta


async def not_stopped(scene: Scene) -> MemoryNode:
    scene.patch.setattr(Stubborn, "survives", True)
    await scene.start()
    await scene.alpha.node.switchover()
    return scene.alpha


async def refused_identity(scene: Scene) -> MemoryNode:
    """What the transport with TLS raises where the other side shows another certificate."""

    class Refusing:
        listen = scene.alpha.transport.listen

        async def dial(self, address: str) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            raise tls_errors.not_pinned(address, "its fingerprint")

    scene.alpha.transport = Refusing()
    await scene.alpha.start()
    return scene.alpha


def with_identity(scene: Scene) -> Identities:
    made = Identities(scene.directory)
    tls = TlsSettings(identity=made.path("a"), peer_certificate=made.pins("b"))
    scene.alpha.config = attrs.evolve(scene.alpha.config, tls=tls)
    return made


async def ends_soon(scene: Scene) -> MemoryNode:
    Identities(scene.directory).path("a", valid_days=3)
    with_identity(scene)
    return await watched(scene)


async def others_can_read(scene: Scene) -> MemoryNode:
    made = with_identity(scene)
    os.chmod(made.path("a"), 0o644)
    return await watched(scene)


async def watched(scene: Scene) -> MemoryNode:
    """Have looked how the node speaks to others, as it does itself where it uses sockets.

    Without TLS this pair is beyond one machine: its hosts are called otherwise.
    """
    await scene.alpha.start()
    with trio.move_on_after(0):
        await IdentityWatch(scene.alpha.config, scene.alpha.node.alarms).run_forever()
    return scene.alpha


def mailing(scene: Scene) -> None:
    receivers = ("a@example.org",)
    scene.configure(mail=MailSettings(enabled=True, sender="sbs@example.org", receivers=receivers))


async def damaged_mail(scene: Scene) -> MemoryNode:
    mailing(scene)
    queue = Path(scene.alpha.config.node.state_dir) / "mail"
    queue.mkdir(parents=True, mode=0o700)
    os.chmod(queue.parent, 0o700)
    (queue / "n.1.json").write_bytes(b"?")
    await scene.alpha.start()
    return scene.alpha


async def undelivered_mail(scene: Scene) -> MemoryNode:
    mailing(scene)
    await scene.start()
    await scene.alpha.kill()
    return scene.beta


async def state_in_the_way(scene: Scene) -> MemoryNode:
    await scene.start()
    while True:
        try:
            os.mkdir(f"{scene.alpha.config.node.state_dir}/node.json.new")
        except FileExistsError:  # for it is being written
            await trio.sleep(0.002)
        else:
            break
    scene.pair.cut()  # the other one is not in step any more, and what is saved next fails
    await scene.beta.wait_role(Role.PRIMARY)
    scene.pair.heal()
    return scene.alpha


async def port_in_use(scene: Scene) -> MemoryNode:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        scene.configure(web=WebSettings(listen=Address(*taken.getsockname())))
        await scene.alpha.start()
        await scene.alpha.wait_alarm(Alarm.WEB_FAILED)
    return scene.alpha


NODES: Final[Mapping[Alarm, Callable[[Scene], Awaitable[MemoryNode]]]] = {
    Alarm.APPLY_HOOK_FAILED: failing_hooks_there,
    Alarm.FOLDER_REFUSED: learned_and_not_allowed,
    Alarm.IDENTITY_EXPIRES: ends_soon,
    Alarm.IDENTITY_REFUSED: refused_identity,
    Alarm.IDENTITY_UNREADABLE: others_can_read,
    Alarm.INSECURE: watched,
    Alarm.LICENCE: licence_of_a_backup,
    Alarm.MAIL_DAMAGED: damaged_mail,
    Alarm.MAIL_FAILED: undelivered_mail,
    Alarm.QUARANTINE: edited_on_both,
    Alarm.SERVICE_DOWN: crashed,
    Alarm.SERVICE_FAILED: not_started,
    Alarm.SERVICE_GIVEN_UP: given_up,
    Alarm.SERVICE_NOT_STOPPED: not_stopped,
    Alarm.SERVICE_UNSTABLE: ending_again,
    Alarm.STATE_FAILED: state_in_the_way,
    Alarm.TRANSITION_HOOK_FAILED: failing_hooks_there,
    Alarm.UPDATE_FAILED: sent_and_not_allowed,
    Alarm.UPDATE_HELD: emptied,
    Alarm.UPDATE_HOOK_FAILED: failing_hooks,
    Alarm.WATCH_FAILED: too_many_watches,
    Alarm.WEB_FAILED: port_in_use,
}
