"""How each class of errors comes: what raises it is what raises it for an operator or a program."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

import attrs
import trio

import sbs
from sbs import errors
from sbs.adapters.licences import form
from sbs.adapters.services import process
from sbs.adapters.services.systemd import own_service
from sbs.adapters.services.systemd.bus import Bus, BusError
from sbs.adapters.transports.pairing import Identities as Known
from sbs.adapters.transports.pairing import Pairing, Side
from sbs.adapters.transports.tcp import TcpTransport
from sbs.adapters.witnesses import folder
from sbs.config import MailSettings
from sbs.core.address import Address
from sbs.core.connection import Connection, last_words
from sbs.core.connection import Side as End
from sbs.core.epoch import NO_EPOCH
from sbs.core.messages import Chunk, Failed, Hello, Taken
from sbs.core.testament import SECRET_BYTES, PeerFencedError
from sbs.demo import files as demo_files
from sbs.demo.results import DemoError
from sbs.dialog.file import ChangedError, ConfigFile
from sbs.ports import Unit, WitnessOptions
from sbs.replication.bodies import expand
from sbs.replication.files.places import Places, check_apart
from sbs.replication.former.restoring import find
from sbs.replication.receiving.journal import DamagedError, Journal
from sbs.runtime.hooks import HookError, run_hook
from sbs.runtime.lasting.state import StateStore
from sbs.runtime.linking.link import Link
from sbs.runtime.mailing.password import notifier_options
from sbs.runtime.operating.client import SOCKET_NAME, EndedError, NoNodeError, ask
from sbs.runtime.pairing import beginning
from sbs.runtime.pairing.calling import call
from sbs.runtime.pairing.files import PairFiles
from sbs.runtime.pairing.meeting import Party
from sbs.runtime.pairing.waiting import LIFETIME_S, wait_for_peer
from sbs.runtime.showing.snapshots import NoStatusError, Snapshots
from sbs.runtime.updating.verdicts import FollowerError, failure_of
from sbs.testing.memory import MemoryNetwork
from tests.adapters.tls_rig import Identities, connected, use
from tests.runtime.rig import hello

NOW: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

ALPHA: Final = Address("alpha", 4449)

Case: TypeAlias = Callable[[Path], Awaitable[object]]
"""Given an empty directory it ends with the error."""


# Of files that an administrator writes.


async def wrong_configuration(_directory: Path) -> None:
    sbs.parse_config("nonsense", "sbs.toml")


async def edited_by_two(directory: Path) -> None:
    path = directory / "sbs.toml"
    path.write_text('[node]\npeer = "127.0.0.1:4446"\n')
    file = ConfigFile.read(str(path))
    path.write_text('[node]\npeer = "127.0.0.1:4447"\n')
    file.write(file.text)


async def lost_in_a_demo(directory: Path) -> None:
    demo_files.check_kept(str(directory), ["a"], {"a": 1})


async def first_files_stand(directory: Path) -> None:
    path = directory / "sbs.toml"
    path.touch()
    beginning.check_free(str(path))


async def no_name_of_a_unit(_directory: Path) -> None:
    own_service.install("no name!", "", automatic=False)


# Of the control socket.


@contextlib.contextmanager
def answering(directory: Path, answer: Callable[[socket.socket], object]) -> Generator[None]:
    """Something that listens where a node would."""

    def serve() -> None:
        caller, _ = server.accept()
        with caller:
            answer(caller)
            over.wait(10)

    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(directory / SOCKET_NAME))
        server.listen()
        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield
        finally:
            over.set()
            serving.join()


async def nobody_runs(directory: Path) -> None:
    ask(str(directory), "status")


async def nobody_answers(directory: Path) -> None:
    with answering(directory, lambda _caller: None):
        ask(str(directory), "status", timeout_s=0.05)


async def something_else_answers(directory: Path) -> None:
    with answering(directory, lambda caller: caller.sendall(b"hello\n")):
        ask(str(directory), "status")


async def ends_before_it_answers(directory: Path) -> None:
    with answering(directory, lambda caller: caller.shutdown(socket.SHUT_RDWR)):
        ask(str(directory), "status")


# Of the protocol.

HELLO: Final = hello("alpha")


async def sent_out_of_turn(_directory: Path) -> None:
    Connection(End.DIALLER, HELLO).send(Taken(NO_EPOCH))


async def no_protocol(_directory: Path) -> None:
    Connection(End.ACCEPTOR, HELLO).receive(b"GET / HTTP/1.1\r\n\r\n")


async def tls_where_there_is_none(_directory: Path) -> None:
    Connection(End.ACCEPTOR, HELLO).receive(bytes.fromhex("16030100050100000100"))


async def another_version(_directory: Path) -> None:
    newer = Connection(End.DIALLER, attrs.evolve(HELLO, versions=(2, 2)))
    Connection(End.ACCEPTOR, HELLO).receive(newer.open())


async def last_word(_directory: Path) -> None:
    network = MemoryNetwork()
    listener = await network.transport("alpha").listen(str(ALPHA))
    dialled = await network.transport("beta").dial(str(ALPHA))
    await (await listener.accept()).send_all(last_words(bytes(SECRET_BYTES)))
    await Link(1, dialled, End.DIALLER, Hello(versions=(1, 1))).greet()


# Of connections.


async def no_port(_directory: Path) -> None:
    await TcpTransport().dial("127.0.0.1:0")


async def nothing_listens(_directory: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        await TcpTransport().dial(f"127.0.0.1:{closed.getsockname()[1]}")


async def port_of_another(_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        await TcpTransport(bind_bound_s=0.0).listen(f"127.0.0.1:{taken.getsockname()[1]}")


async def stranger(directory: Path) -> NoReturn:
    """Its certificate is not the pinned one."""
    raise await of_stranger(directory, "alpha")


async def turned_away(directory: Path) -> NoReturn:
    """Its peer does not know it."""
    raise await of_stranger(directory, "eve")


async def of_stranger(directory: Path, who: str) -> Exception:
    made, found = Identities(directory), dict[str, object]()
    ends = connected(made.transport("alpha", "beta"), made.transport("eve", "alpha"))
    async with ends as (dialled, accepted), trio.open_nursery() as nursery:
        nursery.start_soon(use, dialled, found, "eve")
        nursery.start_soon(use, accepted, found, "alpha")
    error = found[who]
    assert isinstance(error, Exception)
    return error


async def no_tls(directory: Path) -> None:
    made = Identities(directory)
    async with connected(TcpTransport(), made.transport("beta", "alpha")) as (dialled, accepted):
        await accepted.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await dialled.receive_some(1)


# Of pairing.


def party(directory: Path, name: str) -> Party:
    files = PairFiles(identity=str(directory / f"{name}.pem"), pins=str(directory / f"{name}.pins"))
    return Party.of(files, name, NOW, renew=False)


async def nobody_calls(directory: Path) -> None:
    listener = await MemoryNetwork().transport("alpha").listen(str(ALPHA))
    with trio.fail_after(2 * LIFETIME_S):
        await wait_for_peer(listener, "123456789", party(directory, "alpha"), NOW)


async def nobody_waits(directory: Path) -> None:
    network = MemoryNetwork()
    network.transport("alpha")
    transport = network.transport("beta")
    await call(ALPHA, "123456789", party(directory, "beta"), NOW, transport)


async def two_codes(directory: Path) -> None:
    own = {name: party(directory, name).own for name in ("alpha", "beta")}
    known = [Known(current=each, following=each) for each in own.values()]
    caller = Pairing(Side.CALLER, "123456789", known[0])
    waiter = Pairing(Side.WAITER, "123456780", known[1])
    for _ in range(3):
        waiter.receive(caller.outgoing())
        caller.receive(waiter.outgoing())


# Of folders and of the disk.


async def two_folders_of_one_name(directory: Path) -> None:
    places = [str(directory / name) for name in ("one", "two")]
    check_apart(["data", "data"], places, str(directory / "state"))


async def refused_by_the_follower(_directory: Path) -> NoReturn:
    """What a leader raises when this is the answer to its commit."""
    raise failure_of(Failed("no room"))


async def damaged_on_its_way(_directory: Path) -> None:
    expand(Chunk(0, b"no frame", raw_bytes=8))


async def newer_than_the_newest(directory: Path) -> None:
    with Places([str(directory)]) as places:
        find(places, 0, "file", generation=8, newest=7)


async def state_of_two(directory: Path) -> None:
    first = StateStore(str(directory))
    try:
        StateStore(str(directory))
    finally:
        first.close()


async def damaged_journal(directory: Path) -> None:
    journal = Journal(str(directory))
    (directory / "journal" / "commit").write_bytes(b"no journal")
    journal.load(lambda: None)


# Of what a node asks and runs.


async def failing_hook(_directory: Path) -> None:
    await run_hook(["false"], {}, 10.0)


async def status_that_hangs(_directory: Path) -> None:
    class Hanging:
        async def status(self) -> NoReturn:
            await trio.sleep_forever()
            raise AssertionError

    node: Any = Hanging()
    await Snapshots(node).take()


async def password_that_is_gone(directory: Path) -> None:
    path = str(directory / "gone")
    notifier_options(MailSettings(account="sbs", password_file=path))


async def no_licence(_directory: Path) -> None:
    form.verify(b"no licence", ())


async def service_without_command(_directory: Path) -> None:
    async with process.open_controller([Unit(name="web")], ()):
        pass


async def no_bus(_directory: Path) -> None:
    """Before a connection stands, and after it was lost."""
    await Bus(lambda _job: None).watch_jobs("web.service")


async def no_shared_folder(directory: Path) -> None:
    options = WitnessOptions(pair="p", path=str(directory / "gone"))
    async with folder.open_witness(options) as witness:
        await witness.acquire("alpha.1", 5.0)


RAISED: Final[Mapping[type[errors.SbsError], Case]] = {
    errors.SbsError: something_else_answers,
    errors.ConfigError: wrong_configuration,
    ChangedError: edited_by_two,
    DemoError: lost_in_a_demo,
    HookError: failing_hook,
    errors.NotRunningError: nobody_answers,
    EndedError: ends_before_it_answers,
    NoNodeError: nobody_runs,
    errors.NotifyError: password_that_is_gone,
    errors.UnreachableError: nobody_waits,
    errors.WrongCodeError: two_codes,
    errors.ProtocolError: no_protocol,
    errors.LocalProtocolError: sent_out_of_turn,
    errors.RemoteProtocolError: no_protocol,
    errors.EncryptedError: tls_where_there_is_none,
    errors.VersionError: another_version,
    errors.RefusedError: first_files_stand,
    errors.LicenceError: no_licence,
    errors.ReplicationError: two_folders_of_one_name,
    FollowerError: refused_by_the_follower,
    errors.MismatchError: damaged_on_its_way,
    errors.NotKeptError: newer_than_the_newest,
    errors.ServiceError: service_without_command,
    BusError: no_bus,
    errors.InstallationError: no_name_of_a_unit,
    errors.StateError: state_of_two,
    DamagedError: damaged_journal,
    errors.TransportError: no_port,
    errors.ListenError: port_of_another,
    errors.DialRefusedError: nothing_listens,
    errors.IdentityError: stranger,
    errors.RejectedError: turned_away,
    errors.TlsError: no_tls,
    PeerFencedError: last_word,
    errors.WitnessError: no_shared_folder,
}

WAITED: Final[Mapping[type[errors.SbsError], Case]] = {
    NoStatusError: status_that_hangs,
    errors.PairingError: nobody_calls,
}
"""Those that come when a time is over. Nothing outside trio works in them: a clock that jumps
would not wait for a process or a thread, but take it for one that hangs."""
