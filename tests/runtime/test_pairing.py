"""B62: two nodes learn each other's certificate, and change their own while both run."""

from __future__ import annotations

import datetime as dt
import itertools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from sbs.adapters.transports.identity import Certificate, make_identity, read_identity, read_pins
from sbs.adapters.transports.pairing import Pairing, Side, Word
from sbs.core.address import Address
from sbs.errors import ConfigError, PairingError, SbsError, UnreachableError, WrongCodeError
from sbs.ports import Listener
from sbs.runtime.pairing.calling import call
from sbs.runtime.pairing.files import NewIdentity, PairFiles, create
from sbs.runtime.pairing.meeting import Meeting, Paired, Party
from sbs.runtime.pairing.waiting import (
    LIFETIME_S,
    MAX_CALLERS,
    MAX_GUESSES,
    MAX_WRONG,
    wait_for_peer,
)
from sbs.testing.memory import MemoryNetwork

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CODE = "123456789"
PLACE = Address("alpha", 4449)


@attrs.frozen
class Node:
    """A node's name and its two files."""

    name: str
    files: PairFiles

    @classmethod
    def at(cls, directory: Path) -> Node:
        directory.mkdir()
        paths = (str(directory / name) for name in ("identity.pem", "peer.pem"))
        return cls(directory.name, PairFiles(identity=next(paths), pins=next(paths)))

    def party(self, *, renew: bool = False) -> Party:
        return Party.of(self.files, self.name, NOW, renew=renew)

    def knows(self, other: Node) -> bool:
        """Whether a connection between the two would be accepted here now."""
        return read_identity(other.files.identity) in read_pins(self.files.pins)


@pytest.fixture
def alpha(tmp_path: Path) -> Node:
    return Node.at(tmp_path / "alpha")


@pytest.fixture
def beta(tmp_path: Path) -> Node:
    return Node.at(tmp_path / "beta")


class Crash(BaseException):
    """The process is gone."""


def meet(alpha: Node, beta: Node, renew: str = "", pieces: int = 1000) -> tuple[object, object]:
    """Pair the two without a network: alpha waits, beta calls.

    Args:
        alpha: one node.
        beta: the other.
        renew: the names of those that make a new identity.
        pieces: the line breaks after so many.

    Returns:
        how it ended for each: :class:`Paired`, an error, or a :class:`Crash`.
    """
    sides = {"alpha": Side.WAITER, "beta": Side.CALLER}
    ends: dict[str, Meeting] = {}
    found: dict[str, object] = {}
    for node in (alpha, beta):
        try:
            party = node.party(renew=node.name in renew)
            ends[node.name] = Meeting(sides[node.name], CODE, party, NOW)
        except Crash as crash:
            found[node.name] = crash
    silent = 0
    for sender, receiver in itertools.cycle([("beta", "alpha"), ("alpha", "beta")]):
        data = ends[sender].pairing.outgoing() if sender in ends and pieces else b""
        silent = 0 if data else silent + 1
        pieces -= bool(data)
        if silent == 2:
            break
        if data and receiver not in found:
            take(receiver, ends, found, data)
    for name in [name for name, end in ends.items() if name not in found]:
        if ends[name].pairing.has_ended:
            found[name] = ends[name].result()
        else:
            take(name, ends, found, b"")
    return found["alpha"], found["beta"]


def take(name: str, ends: dict[str, Meeting], found: dict[str, object], data: bytes) -> None:
    try:
        ends[name].receive(data)
    except Crash as crash:
        found[name] = crash
        del ends[name]  # it says nothing more
    except SbsError as error:
        try:
            found[name] = ends[name].ended(error)
        except PairingError as final:
            found[name] = final


def test_both_pin_each_other_and_keep_their_key_to_themselves(alpha: Node, beta: Node) -> None:
    umask = os.umask(0)
    try:
        ours, theirs = meet(alpha, beta)
    finally:
        os.umask(umask)
    assert isinstance(ours, Paired)
    assert isinstance(theirs, Paired)
    assert (ours.own, ours.peer, ours.leftover) == (theirs.peer, theirs.own, "")
    assert (ours.own.name, ours.peer.name) == ("alpha", "beta")
    assert alpha.knows(beta)
    assert beta.knows(alpha)
    for node in (alpha, beta):
        assert os.stat(node.files.identity).st_mode & 0o777 == 0o600
        assert os.stat(node.files.pins).st_mode & 0o777 == 0o644
        assert sorted(os.listdir(os.path.dirname(node.files.pins))) == ["identity.pem", "peer.pem"]


def test_pairing_again_changes_nothing(alpha: Node, beta: Node) -> None:
    meet(alpha, beta)
    before = [Path(node.files.identity).read_bytes() for node in (alpha, beta)]
    meet(alpha, beta)
    assert before == [Path(node.files.identity).read_bytes() for node in (alpha, beta)]
    assert alpha.knows(beta)
    assert len(read_pins(alpha.files.pins)) == 1


RENEWALS = pytest.mark.parametrize("renew", ["alpha", "beta", "alpha beta"])


@RENEWALS
def test_after_a_renewal_the_former_certificate_is_not_accepted(
    alpha: Node, beta: Node, renew: str
) -> None:
    meet(alpha, beta)
    former = {node.name: read_identity(node.files.identity) for node in (alpha, beta)}
    ours, theirs = meet(alpha, beta, renew)
    assert isinstance(ours, Paired)
    assert isinstance(theirs, Paired)
    for node, other in ((alpha, beta), (beta, alpha)):
        assert node.knows(other)
        assert read_pins(node.files.pins) == (read_identity(other.files.identity),)
        is_new = read_identity(other.files.identity) != former[other.name]
        assert is_new is (other.name in renew)


def check_after_trouble(alpha: Node, beta: Node) -> None:
    """Whatever happened: they know each other, and the next pairing leaves nothing over."""
    assert alpha.knows(beta)
    assert beta.knows(alpha)
    ours, theirs = meet(alpha, beta)
    assert isinstance(ours, Paired)
    assert isinstance(theirs, Paired)
    assert (ours.leftover, theirs.leftover) == ("", "")
    for node, other in ((alpha, beta), (beta, alpha)):
        assert read_pins(node.files.pins) == (read_identity(other.files.identity),)


@RENEWALS
@pytest.mark.parametrize("pieces", range(8))
def test_a_line_that_is_cut_in_a_renewal_parts_nobody(
    alpha: Node, beta: Node, renew: str, pieces: int
) -> None:
    """Cut after each piece that either says: the sixth is alpha's Done."""
    meet(alpha, beta)
    ended = meet(alpha, beta, renew, pieces)
    complete = [isinstance(end, Paired) and not end.leftover for end in ended]
    assert all(complete) is (pieces >= (6 if "alpha" in renew else 5))
    for end in ended:
        if isinstance(end, PairingError):
            last = str(end).splitlines()[-1]
            nothing = last == "nothing was changed on this node"
            assert nothing or last.endswith("run sbs pair again on both nodes")
    check_after_trouble(alpha, beta)


@RENEWALS
def test_a_crash_at_each_change_of_a_renewal_parts_nobody(
    alpha: Node, beta: Node, renew: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real files: killed before each call that changes something, on either node."""
    meet(alpha, beta)
    crashes = 0
    for number in itertools.count(1):
        with monkeypatch.context() as patch:
            calls = crash_at(patch, number)
            ended = meet(alpha, beta, renew)
        check_after_trouble(alpha, beta)
        if not any(isinstance(end, Crash) for end in ended):
            assert calls[0] == number - 1
            break
        crashes += 1
    # Each write is six calls at least; each node pins twice, and who renews puts its identity.
    assert crashes >= 6 * (4 + len(renew.split()))


def crash_at(patch: pytest.MonkeyPatch, number: int) -> list[int]:
    """Let the call of this number kill its process; returns the count of calls so far."""
    calls = [0]

    def fatal(real: object) -> object:
        def call(*arguments: object, **named: object) -> object:
            calls[0] += 1
            if calls[0] == number:
                raise Crash
            assert callable(real)
            return real(*arguments, **named)

        return call

    for name in ("unlink", "open", "fsync", "rename"):
        patch.setattr(os, name, fatal(getattr(os, name)))
    return calls


def test_one_identity_for_two_nodes_is_refused_and_renewed(alpha: Node, beta: Node) -> None:
    """A machine that was cloned with its files."""
    alpha.party()
    create(beta.files.identity, Path(alpha.files.identity).read_bytes(), 0o600)
    for end in meet(alpha, beta):
        assert isinstance(end, PairingError)
        assert "run sbs pair --renew on one of them\nnothing was changed" in str(end)
    for end in meet(alpha, beta, "beta"):
        assert isinstance(end, Paired)
    assert alpha.knows(beta)
    assert beta.knows(alpha)


def test_an_identity_that_has_expired_is_refused_and_renewed(alpha: Node, beta: Node) -> None:
    create(beta.files.identity, make_identity("beta", NOW, valid_days=-1), 0o600)
    ours, theirs = meet(alpha, beta)
    assert isinstance(ours, PairingError)
    assert "beta has expired, by the clock of this node, on 2025-12-31" in str(ours)
    assert "the other node does not take this node's certificate" in str(theirs)
    assert not os.path.exists(alpha.files.pins)
    for end in meet(alpha, beta, "beta"):
        assert isinstance(end, Paired)


def test_a_disk_that_takes_nothing_is_told_on_both_sides(
    alpha: Node, beta: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet(alpha, beta)

    def full(_file: object) -> None:
        raise OSError(28, "No space left on device")

    alpha.party()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ours, theirs = meet(alpha, beta)
    assert "alpha/peer.pem cannot be written: No space left on device" in str(ours)
    assert "the other node could not write its files" in str(theirs)
    check_after_trouble(alpha, beta)


def test_a_former_certificate_that_could_not_be_dropped_is_named(
    alpha: Node, beta: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the reason for the renewal: a key that somebody has read."""
    meet(alpha, beta)
    pin = PairFiles.pin

    def full(files: PairFiles, certificates: Iterable[Certificate]) -> None:
        found = tuple(certificates)
        if len(found) == 1:
            raise PairingError(f"{files.pins} cannot be written: No space left on device")
        pin(files, found)

    with monkeypatch.context() as patch:
        patch.setattr(PairFiles, "pin", full)
        ours, theirs = meet(alpha, beta, "beta")
    assert isinstance(ours, Paired)
    assert "No space left on device), so the former certificate of beta is acc" in ours.leftover
    assert len(read_pins(alpha.files.pins)) == 2
    assert isinstance(theirs, Paired)
    check_after_trouble(alpha, beta)


def test_a_key_that_others_can_read_is_not_used(alpha: Node) -> None:
    alpha.party()
    os.chmod(alpha.files.identity, 0o644)
    with pytest.raises(ConfigError, match="can read"):
        alpha.party()


def test_what_a_crash_left_does_not_make_the_key_readable(alpha: Node) -> None:
    left = Path(f"{alpha.files.identity}.sbs-new")
    left.touch(0o666)
    alpha.party()
    assert os.stat(alpha.files.identity).st_mode & 0o777 == 0o600
    assert not left.exists()


def test_what_is_written_is_durable_before_it_is_said(
    alpha: Node, beta: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content first, then the name, then the name made durable: a power cut leaves one of two."""
    meet(alpha, beta)
    calls: list[str] = []

    def noted(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            calls.append(name)
            return real(*arguments)

        return call

    end = Meeting(Side.CALLER, CODE, beta.party(renew=True), NOW)
    other = Meeting(Side.WAITER, CODE, alpha.party(), NOW)
    for sender, receiver in ((end, other), (other, end), (end, other)):
        receiver.receive(sender.pairing.outgoing())
    for name in ("fsync", "rename"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))

    def say(word: Word) -> None:
        calls.append(word.name)
        Pairing.say(end.pairing, word)

    monkeypatch.setattr(end.pairing, "say", say)
    end.receive(other.pairing.outgoing())
    durable = ["fsync", "rename", "fsync"]
    assert calls == [*durable, "STORED", *durable, "DONE"]


def test_a_new_file_replaces_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "deep" / "sbs.toml")
    create(path, b"one", 0o644)
    with pytest.raises(PairingError, match="File exists"):
        create(path, b"two", 0o644)
    assert Path(path).read_bytes() == b"one"
    assert os.listdir(tmp_path / "deep") == ["sbs.toml"]
    draft = tmp_path / "deep" / "peer.toml.new"
    draft.write_bytes(b"of a person")
    create(str(tmp_path / "deep" / "peer.toml"), b"one", 0o644)
    assert draft.read_bytes() == b"of a person"


def test_links_stay_links(tmp_path: Path, alpha: Node) -> None:
    """The files may lie elsewhere, as where a tool looks after /etc."""
    os.symlink(tmp_path / "kept.pem", alpha.files.identity)
    alpha.files.put_identity(NewIdentity.make("alpha", NOW))
    assert os.path.islink(alpha.files.identity)
    assert read_identity(str(tmp_path / "kept.pem")).name == "alpha"


def test_nobody_else_chooses_what_is_overwritten(tmp_path: Path, alpha: Node) -> None:
    """Root may write any file: a link in a directory of others could name it."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.symlink(victim, alpha.files.pins)
    alpha.party()
    os.chmod(os.path.dirname(alpha.files.pins), 0o757)
    with pytest.raises(PairingError, match=r"where identity\.pem lies: everybody can write to it"):
        alpha.party()
    assert victim.read_text() == "precious"


class Net:
    """Two hosts: alpha waits, and tells what it says."""

    def __init__(self, alpha: Node, beta: Node) -> None:
        self.network = MemoryNetwork()
        self.alpha, self.beta = alpha, beta
        self.transport = self.network.transport("alpha")
        self.there = self.network.transport("beta")
        self.lines: list[str] = []
        self.ended: Paired | SbsError | None = None

    async def wait(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listener: Listener = await self.transport.listen(str(PLACE))
        task_status.started()
        try:
            self.ended = await wait_for_peer(
                listener, CODE, self.alpha.party(), NOW, self.lines.append
            )
        except PairingError as error:
            self.ended = error
        finally:
            await listener.aclose()

    async def call(self, code: str = CODE) -> Paired:
        return await call(PLACE, code, self.beta.party(), NOW, self.there)


@pytest.fixture
def net(alpha: Node, beta: Node) -> Net:
    return Net(alpha, beta)


async def test_a_caller_with_the_code_is_paired(
    net: Net, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(net.wait)
        theirs = await net.call()
    assert isinstance(net.ended, Paired)
    assert theirs.own == net.ended.peer
    assert net.alpha.knows(net.beta)
    assert net.beta.knows(net.alpha)
    assert net.lines == []


async def test_a_mistyped_code_may_be_typed_again_twice(
    net: Net, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(net.wait)
        for _ in range(MAX_WRONG - 1):
            with pytest.raises(PairingError, match="the code is wrong; use the one") as caught:
                await net.call("000000000")
            assert isinstance(caught.value.__cause__, WrongCodeError)
        await net.call()
    assert isinstance(net.ended, Paired)
    assert net.lines == [
        "a wrong code came from this process; allowed are 2 more",
        "a wrong code came from this process; allowed are 1 more",
    ]


async def test_after_three_wrong_codes_the_right_one_is_worth_nothing(
    net: Net, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(net.wait)
        for _ in range(MAX_WRONG):
            with pytest.raises(PairingError, match="the code is wrong"):
                await net.call("000000000")
    assert "3 wrong codes came, and nothing was changed; somebody may be guessing" in str(net.ended)
    with pytest.raises(UnreachableError, match=r"nobody waits at alpha:4449; run sbs pair on"):
        await net.call()
    assert net.alpha.files.pinned() == ()


async def test_guesses_made_at_the_same_moment_are_no_more_than_those_made_in_turn(
    net: Net, autojump_clock: trio.testing.MockClock
) -> None:
    """Thirty callers stand ready with a wrong proof; the three first ones are looked at."""
    reasons: list[str] = []

    async def guess(number: int) -> None:
        try:
            await net.call(f"{number:09}")
        except PairingError as error:
            reasons.append(str(error).splitlines()[0])

    async with trio.open_nursery() as nursery:
        await nursery.start(net.wait)
        for number in range(30):
            nursery.start_soon(guess, number)
    assert len(net.lines) == MAX_WRONG
    assert len(reasons) == 30
    assert sum("the code is wrong" in reason for reason in reasons) <= MAX_WRONG


async def test_strangers_who_say_nothing_keep_nobody_out(
    net: Net, autojump_clock: trio.testing.MockClock
) -> None:
    """Issue 6: ten times as many as there is room for, some of whom drip a byte a second."""
    opened = 0

    async def stay(drip: bool) -> None:
        nonlocal opened
        stream = await net.there.dial(str(PLACE))
        opened += 1
        try:
            for byte in b"\x93SBP\r\n\x1a\n" if drip else b"":
                await stream.send_all(bytes([byte]))
                await trio.sleep(1)
            await trio.sleep_forever()
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        await nursery.start(net.wait)
        async with trio.open_nursery() as strangers:
            for number in range(10 * MAX_CALLERS):
                strangers.start_soon(stay, number % 2 == 0)
            await trio.testing.wait_all_tasks_blocked()
            assert opened > MAX_CALLERS
            began_at = trio.current_time()
            await net.call()
            assert trio.current_time() - began_at < 1
            strangers.cancel_scope.cancel()
    assert isinstance(net.ended, Paired)


async def test_strangers_who_begin_again_and_again_end_it(
    net: Net, autojump_clock: trio.testing.MockClock
) -> None:
    """An exchange that is not finished is no guess, but computes with the code."""
    opening = bytes(Meeting(Side.CALLER, "0" * 9, net.beta.party(), NOW).pairing.outgoing())
    begun = 0
    async with trio.open_nursery() as nursery:
        await nursery.start(net.wait)
        while net.ended is None:
            try:
                stream = await net.there.dial(str(PLACE))
            except SbsError:
                break
            async with stream:
                with trio.move_on_after(1):
                    await stream.send_all(opening)
                    while await stream.receive_some() and net.ended is None:
                        begun += 1
    assert MAX_GUESSES <= begun <= 2 * MAX_GUESSES + 2
    assert "over 100 callers began without a code" in str(net.ended)
    assert net.lines == []


async def test_nobody_is_waited_for_for_ever(
    net: Net, autojump_clock: trio.testing.MockClock
) -> None:
    began_at = trio.current_time()
    await net.wait()
    assert trio.current_time() - began_at == pytest.approx(LIFETIME_S)
    assert "nobody came with the code in 10 minutes; run sbs pair again" in str(net.ended)


async def test_a_proven_caller_who_goes_silent_is_not_waited_for(
    net: Net, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(net.wait)
        stream = await net.there.dial(str(PLACE))
        meeting = Meeting(Side.CALLER, CODE, net.beta.party(), NOW)
        for _ in range(2):
            await stream.send_all(meeting.pairing.outgoing())
            meeting.receive(bytes(await stream.receive_some(41)))
            meeting.receive(bytes(await stream.receive_some(41)))
    assert "the other node said nothing for 10 s; run sbs pair again" in str(net.ended)
    assert "\nthis node accepts beta now" in str(net.ended)


async def test_a_host_that_does_not_answer_is_told_with_what_to_do(
    net: Net, autojump_clock: trio.testing.MockClock
) -> None:
    net.network.cut("alpha", "beta")
    with pytest.raises(UnreachableError, match="does not answer in 10 s; run sbs pair on the"):
        await net.call()
    with pytest.raises(UnreachableError, match="the name cannot be resolved; run sbs pair"):
        await call(Address("gamma", 4449), CODE, net.beta.party(), NOW, net.there)


async def test_a_port_of_something_else_is_told_as_such(
    net: Net, autojump_clock: trio.testing.MockClock
) -> None:
    listener = await net.transport.listen(str(PLACE))

    async def answer() -> None:
        async with await listener.accept() as stream:
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        with pytest.raises(PairingError, match="is no sbs pair\nnothing was changed on this node"):
            await net.call()
