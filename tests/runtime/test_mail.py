"""Queue and postman: R51, B50. What the servers do is in tests/adapters/test_smtp.py."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from sbs.config import MailSettings
from sbs.core.notice import Kind, Notice
from sbs.errors import NotifyError, StateError
from sbs.ports import Notifier, NotifierOptions, SendStep
from sbs.runtime.alarms import Alarms
from sbs.runtime.mailing import outbox, password
from sbs.runtime.mailing.outbox import MAX_ENTRIES, Entry, Outbox
from sbs.runtime.mailing.password import (
    MAX_PASSWORD_BYTES,
    READ_BOUND_S,
    Credentials,
    notifier_options,
    take_password,
)
from sbs.runtime.mailing.postman import Pace, Postman
from sbs.testing.notifiers import Delivery, MemoryNotifier

A, B = "a@example.org", "b@example.org"
SETTINGS = MailSettings(sender="sbs@example.org", receivers=(A,))


def notice(number: int, kind: Kind = Kind.TAKEOVER) -> Notice:
    return Notice(id=f"n.{number}", kind=kind, at=float(number), node="beta")


# The queue on the disk.


def files(state_dir: Path) -> list[str]:
    return sorted(os.listdir(state_dir / "mail"))


async def reopened(state_dir: Path) -> Outbox:
    box = Outbox(str(state_dir))
    await box.load()
    return box


async def test_what_was_put_is_there_after_a_crash(tmp_path: Path) -> None:
    """B50"""
    box = Outbox(str(tmp_path))
    full = attrs.evolve(
        notice(1), services=("drucker-\u00e4",), failed="\udcff", heard_at=0.5, problems=("x",)
    )
    entry = Entry(notice=full, done=(A,))
    await box.put(Entry(notice=full))
    await box.put(entry)
    await box.put(Entry(notice=notice(2)))
    await box.remove("n.2")
    assert (await reopened(tmp_path)).entries == (entry,)
    assert os.stat(tmp_path / "mail").st_mode & 0o077 == 0
    assert os.stat(tmp_path / "mail" / "n.1.json").st_mode & 0o077 == 0


async def test_the_important_goes_first_then_the_oldest(tmp_path: Path) -> None:
    box = Outbox(str(tmp_path))
    for number, kind in enumerate((Kind.ALARM, Kind.TAKEOVER, Kind.HANDOVER, Kind.URGENT)):
        await box.put(Entry(notice=notice(9 - number, kind)))
    assert [entry.notice.id for entry in box.entries] == ["n.6", "n.8", "n.7", "n.9"]


async def test_when_it_is_full_the_least_important_gives_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """B50: bounded, and never silently."""
    box = Outbox(str(tmp_path))
    await box.put(Entry(notice=notice(1, Kind.TAKEOVER)))
    for number in range(2, MAX_ENTRIES + 1):
        await box.put(Entry(notice=notice(number, Kind.ALARM)))
    await box.put(Entry(notice=notice(900, Kind.URGENT)))
    assert len(box.entries) == len(files(tmp_path)) == MAX_ENTRIES
    assert box.get("n.2") is None
    assert box.get("n.1") is not None
    assert box.get("n.900") is not None
    assert box.dropped == 1
    assert "n.2 is given up" in caplog.text


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "no record", "renamed", "nested"])
async def test_a_damaged_file_is_set_aside_and_named(tmp_path: Path, damage: str) -> None:
    """B50"""
    box = Outbox(str(tmp_path))
    await box.put(Entry(notice=notice(1)))
    await box.put(Entry(notice=notice(2)))
    path = tmp_path / "mail" / "n.1.json"
    raw = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(raw[: len(raw) // 2])
        case "flipped":
            path.write_bytes(raw.replace(b"beta", b"betb"))
        case "renamed":
            path = path.rename(path.with_name("n.3.json"))
        case "nested":
            path.write_bytes(b"[" * 100_000)
        case _:
            path.write_bytes(b"" if damage == "empty" else b"[]")
    again = await reopened(tmp_path)
    assert [entry.notice.id for entry in again.entries] == ["n.2"]
    (text,) = again.set_aside
    assert str(path) in text
    assert files(tmp_path) == sorted(["n.2.json", f"{path.name}.damaged"])
    assert len((await reopened(tmp_path)).set_aside) == 1


async def test_a_file_of_another_version_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Outbox(str(tmp_path)).put(Entry(notice=notice(1)))
    monkeypatch.setattr(outbox, "VERSION", 2)
    box = await reopened(tmp_path)
    assert box.entries == ()
    assert "is of version 1, and this program reads 2" in box.set_aside[0]
    assert files(tmp_path) == ["n.1.json"]


async def test_a_write_that_a_crash_cut_leaves_what_was_there(tmp_path: Path) -> None:
    await Outbox(str(tmp_path)).put(Entry(notice=notice(1)))
    (tmp_path / "mail" / "n.1.json.new").write_bytes(b"half")
    box = await reopened(tmp_path)
    assert [entry.notice.id for entry in box.entries] == ["n.1"]
    assert files(tmp_path) == ["n.1.json"]


async def test_what_the_disk_refuses_is_sent_from_memory(tmp_path: Path) -> None:
    (tmp_path / "mail").write_bytes(b"in the way")
    box = Outbox(str(tmp_path))
    with pytest.raises(StateError, match=r"mail: Not a directory|mail: File exists"):
        await box.load()
    with pytest.raises(StateError, match=r"n\.1\.json: cannot be written"):
        await box.put(Entry(notice=notice(1)))
    assert [entry.notice.id for entry in box.entries] == ["n.1"]
    await box.remove("n.1")
    assert box.entries == ()


# The postman.


PACE = Pace(first_s=5.0, longest_s=60.0, refused_s=900.0, end_s=5.0)


@attrs.define
class Office:
    """A postman at work, in virtual time."""

    state_dir: Path
    far_end: MemoryNotifier
    alarms: Alarms
    clock: trio.testing.MockClock
    postman: Postman
    nursery: trio.Nursery

    @property
    def delivered(self) -> list[tuple[str, str]]:
        return [(each.notice_id, each.receiver) for each in self.far_end.deliveries]

    @property
    def alarm(self) -> str:
        return "; ".join(f"{each.code}: {each.text}" for each in self.alarms.standing)

    async def after(self, seconds: float) -> list[tuple[str, str]]:
        """What was delivered when so much time has passed."""
        await settle()
        self.clock.jump(seconds)
        await settle()
        return self.delivered


async def settle() -> None:
    """Return when the postman waits, and no thread writes for it."""
    threads = trio.to_thread.current_default_thread_limiter()
    quiet = 0
    while quiet < 3:
        await trio.to_thread.run_sync(lambda: None)
        await trio.testing.wait_all_tasks_blocked(0.005)
        quiet = 0 if threads.borrowed_tokens else quiet + 1


@asynccontextmanager
async def office(
    state_dir: Path,
    clock: trio.testing.MockClock,
    *,
    receivers: Sequence[str] = (A,),
    far_end: MemoryNotifier | None = None,
    settings: MailSettings = SETTINGS,
) -> AsyncGenerator[Office, None]:
    far_end = far_end or MemoryNotifier()
    alarms = Alarms()
    postman = Postman(
        receivers,
        Outbox(str(state_dir)),
        alarms,
        open_notifier=far_end.open,
        options=Credentials(settings).options,
        pace=PACE,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(postman.run)
        yield Office(state_dir, far_end, alarms, clock, postman, nursery)
        nursery.cancel_scope.cancel()


async def test_a_notice_is_on_the_disk_and_then_with_everybody(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with office(tmp_path, mock_clock, receivers=(A, B)) as at:
        at.postman.post(notice(1), hold_s=10)
        await settle()
        assert files(tmp_path) == ["n.1.json"]
        assert at.delivered == []
        assert await at.after(9.9) == []
        assert await at.after(0.2) == [("n.1", A), ("n.1", B)]
        assert files(tmp_path) == []
        assert at.alarm == ""


async def test_what_is_amended_is_sent_at_once_and_only_once(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """B50: never more than one for one event."""
    async with office(tmp_path, mock_clock) as at:
        at.postman.post(notice(1), hold_s=10)
        at.postman.amend(attrs.evolve(notice(1), started=True))
        await settle()
        at.postman.amend(attrs.evolve(notice(1), failed="too late"))
        assert await at.after(100) == [("n.1", A)]
        assert [each.started for each in at.far_end.notices] == [True]


async def test_what_an_earlier_process_told_or_keeps_is_told_once(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """B50: a notice that stands in for one that may be lost gives way to it."""
    stands_in = attrs.evolve(notice(1), kind=Kind.RESTART)
    async with office(tmp_path, mock_clock) as at:
        await at.far_end.leave()
        at.postman.post(notice(1), primacy=7)
        await settle()
        assert files(tmp_path) == ["n.1.json", "told"]
    (tmp_path / "mail" / "told").write_bytes(b"?")
    async with office(tmp_path, mock_clock) as at:
        at.postman.post(stands_in, 10, primacy=9, since=7)
        at.postman.amend(stands_in)
        await at.after(11)
        assert at.far_end.notices == [notice(1)]
        at.postman.post(stands_in, primacy=9, since=7)
        await at.after(1)
        assert at.far_end.notices == [notice(1)]
    async with office(tmp_path, mock_clock) as at:
        at.postman.post(stands_in, primacy=11, since=7)
        at.postman.post(notice(2), primacy=13, wanted=False)
        at.postman.post(notice(3), since=13)
        assert await at.after(1) == []
    assert (await reopened(tmp_path)).told == 13


async def test_a_server_that_is_away_is_asked_ever_later_until_it_is_back(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """B50"""
    async with office(tmp_path, mock_clock) as at:
        await at.far_end.leave()
        at.postman.post(notice(1))
        await at.after(0)
        assert at.alarm == (
            "mail-failed: the notifier in memory was told to be away; messages that wait: 1"
        )
        at.postman.post(notice(2, Kind.HANDOVER))
        for wait_s in (5.0, 10.0, 20.0, 40.0, 60.0):
            await at.after(wait_s - 0.1)
            await at.far_end.come_back()
            assert at.delivered == []
            await at.far_end.leave()
            await at.after(0.2)
        await at.far_end.come_back()
        assert await at.after(59.0) == []
        assert await at.after(2.0) == [("n.1", A), ("n.2", A)]
        assert at.alarm == ""
        assert files(tmp_path) == []


@pytest.mark.parametrize("permanent", [False, True])
async def test_a_takeover_is_tried_at_once_though_mail_failed_before(
    tmp_path: Path, mock_clock: trio.testing.MockClock, permanent: bool
) -> None:
    """B50: a server that is back gets it at once; one that is not is not asked more often."""
    far_end = Failing(permanent=permanent)
    async with office(tmp_path, mock_clock, far_end=far_end) as at:
        at.postman.post(notice(1, Kind.HANDOVER))
        for wait_s in (0, 5.1, 10.1, 20.1, 40.1):
            await at.after(wait_s)
        tries = far_end.tries
        at.postman.post(notice(2, Kind.TAKEOVER), hold_s=10)
        await at.after(9.9)
        assert far_end.tries == tries
        await at.after(0.2)
        assert far_end.tries == tries + 1
        await at.after(30)
        assert far_end.tries == tries + 1
        far_end.permanent = None
        at.postman.post(notice(3, Kind.RECOVERY))
        assert await at.after(1) == []
        at.postman.post(notice(4, Kind.URGENT))
        assert await at.after(0) == [("n.2", A), ("n.4", A), ("n.1", A), ("n.3", A)]


async def test_a_takeover_goes_before_what_a_slow_server_has_not_taken_yet(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """B50: it waits for one message at most."""
    far_end = Slow()
    async with office(tmp_path, mock_clock, far_end=far_end) as at:
        for number in range(1, 21):
            at.postman.post(notice(number, Kind.ALARM))
        await at.after(far_end.TAKES_S)
        at.postman.post(notice(99, Kind.TAKEOVER))
        await at.after(far_end.TAKES_S)
        assert at.delivered[-1] == ("n.2", A)
        assert (await at.after(far_end.TAKES_S))[-1] == ("n.99", A)
        assert (await at.after(far_end.TAKES_S))[-1] == ("n.3", A)


async def test_who_was_refused_is_tried_alone(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """B50: 4xx for one of two, then success."""
    async with office(tmp_path, mock_clock, receivers=(A, B)) as at:
        at.far_end.refuse(B, permanent=False)
        at.postman.post(notice(1))
        assert await at.after(0) == [("n.1", A)]
        assert "mail-failed: told to refuse b@example.org" in at.alarm
        at.far_end.take_all()
        assert await at.after(5.1) == [("n.1", A), ("n.1", B)]
        assert at.alarm == ""


async def test_what_is_amended_goes_to_those_who_have_nothing_yet(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with office(tmp_path, mock_clock, receivers=(A, B)) as at:
        at.far_end.refuse(B, permanent=False)
        at.postman.post(notice(1))
        await settle()
        at.far_end.take_all()
        at.postman.amend(attrs.evolve(notice(1), started=True))
        assert await at.after(1) == [("n.1", A), ("n.1", B)]
        assert [each.started for each in at.far_end.notices] == [False, True]


async def test_what_is_refused_for_good_is_kept_and_holds_up_nothing(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """B50: 5xx raises an alarm, is tried seldom, and is not lost by a restart."""
    async with office(tmp_path, mock_clock) as at:
        at.far_end.refuse(A, permanent=True)
        at.postman.post(notice(1))
        await at.after(0)
        at.far_end.take_all()
        at.postman.post(notice(2))
        assert await at.after(899) == [("n.2", A)]
        assert "mail-failed" in at.alarm
        assert files(tmp_path) == ["n.1.json"]
    async with office(tmp_path, mock_clock) as at:
        assert await at.after(0) == [("n.1", A)]
        assert files(tmp_path) == []


async def test_a_receiver_who_has_it_does_not_get_it_again_after_a_restart(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    far_end = MemoryNotifier()
    far_end.refuse(B, permanent=False)
    async with office(tmp_path, mock_clock, receivers=(A, B), far_end=far_end) as at:
        at.postman.post(notice(1))
        await settle()
    far_end.take_all()
    async with office(tmp_path, mock_clock, receivers=(A, B), far_end=far_end):
        await settle()
    assert far_end.deliveries == [Delivery(A, "n.1"), Delivery(B, "n.1")]


async def test_a_node_that_ends_gives_mail_one_chance_and_leaves_the_rest(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with office(tmp_path, mock_clock) as at:
        at.far_end.refuse(A, permanent=True)
        at.postman.post(notice(1))
        await settle()
        at.far_end.take_all()
        at.postman.post(notice(2), hold_s=10)
        at.postman.end()
        with trio.fail_after(1):
            while at.nursery.child_tasks:
                await settle()
        assert at.delivered == [("n.2", A)]
        assert files(tmp_path) == ["n.1.json"]
        at.postman.post(notice(3))  # logged, and given up


class Failing(MemoryNotifier):
    """Takes nothing while ``permanent`` is not None, and counts how often it was asked."""

    def __init__(self, *, permanent: bool | None) -> None:
        super().__init__()
        self.permanent = permanent
        self.tries = 0

    async def send(
        self,
        notice: Notice,
        receivers: Sequence[str],
        report: Callable[[SendStep], None] = lambda _step: None,
    ) -> None:
        self.tries += 1
        await trio.lowlevel.checkpoint()
        if self.permanent is not None:
            raise NotifyError("does not take it", permanent=self.permanent)
        await super().send(notice, receivers, report)


class Slow(MemoryNotifier):
    TAKES_S = 60.0

    async def send(
        self,
        notice: Notice,
        receivers: Sequence[str],
        report: Callable[[SendStep], None] = lambda _step: None,
    ) -> None:
        await trio.sleep(self.TAKES_S)
        await super().send(notice, receivers, report)


class Hanging(MemoryNotifier):
    async def send(
        self,
        notice: Notice,
        receivers: Sequence[str],
        report: Callable[[SendStep], None] = lambda _step: None,
    ) -> None:
        await trio.sleep_forever()


async def test_a_node_that_ends_does_not_wait_for_a_server_that_hangs(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with office(tmp_path, mock_clock, far_end=Hanging()) as at:
        at.postman.post(notice(1))
        await settle()
        at.postman.end()
        await at.after(5.1)
        assert not at.nursery.child_tasks
        assert files(tmp_path) == ["n.1.json"]


async def test_a_node_that_is_cancelled_writes_what_it_was_told(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with office(tmp_path, mock_clock) as at:
        await settle()
        at.postman.post(notice(1))
        at.nursery.cancel_scope.cancel()
    assert files(tmp_path) == ["n.1.json"]


class Broken(MemoryNotifier):
    @asynccontextmanager
    async def open(self, _options: NotifierOptions) -> AsyncGenerator[Notifier, None]:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("a bug of an adapter")
        yield self


class Choosy(MemoryNotifier):
    async def send(
        self,
        notice: Notice,
        receivers: Sequence[str],
        report: Callable[[SendStep], None] = lambda _step: None,
    ) -> None:
        if notice.id == "n.1":
            raise RuntimeError("a bug of an adapter")
        await super().send(notice, receivers, report)


async def test_a_notice_that_an_adapter_cannot_take_holds_up_no_other(
    tmp_path: Path, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """B50: found by review; it came first in each round, and ended it."""
    async with office(tmp_path, mock_clock, far_end=Choosy()) as at:
        at.postman.post(notice(1))
        at.postman.post(notice(2))
        assert await at.after(1) == [("n.2", A)]
        assert "the adapter failed in a way it must not" in at.alarm
        assert "a bug of an adapter" in caplog.text
        assert files(tmp_path) == ["n.1.json"]


async def test_a_broken_adapter_ends_no_node(
    tmp_path: Path, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with office(tmp_path, mock_clock, far_end=Broken()) as at:
        at.postman.post(notice(1))
        await settle()
        assert "the adapter failed in a way it must not" in at.alarm
        assert "a bug of an adapter" in caplog.text
        assert files(tmp_path) == ["n.1.json"]


async def test_a_password_that_cannot_be_read_is_an_alarm(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    settings = MailSettings(account="sbs", password_file=str(tmp_path / "missing"))
    async with office(tmp_path, mock_clock, settings=settings) as at:
        at.postman.post(notice(1))
        await settle()
        assert f"mail.password_file {tmp_path}/missing: No such file" in at.alarm
        (tmp_path / "missing").write_text("secret\n")
        (tmp_path / "missing").chmod(0o600)
        assert await at.after(5.1) == [("n.1", A)]
        assert at.alarm == ""


async def test_a_password_file_that_hangs_is_an_alarm_and_holds_up_no_end(
    tmp_path: Path, mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B50: found by review; nothing was said, and the node did not end."""
    settings = MailSettings(account="sbs", password_file="/gone/password")
    reads, over = [], threading.Event()

    def hang(path: str) -> str:
        reads.append(path)
        over.wait()
        return "secret"

    monkeypatch.setattr(password, "_read", hang)
    try:
        async with office(tmp_path, mock_clock, settings=settings) as at:
            at.postman.post(notice(1))
            await at.after(READ_BOUND_S + 0.1)
            text = "mail.password_file /gone/password: could not be read within 10 s"
            assert text in at.alarm
            for _ in range(5):
                await at.after(PACE.longest_s)
            assert reads == ["/gone/password"]  # the others wait for its thread
            at.postman.end()
            await at.after(PACE.end_s + 0.1)
            assert not at.nursery.child_tasks
            assert files(tmp_path) == ["n.1.json"]
    finally:
        over.set()


async def test_damage_found_at_the_start_is_an_alarm(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "n.1.json").write_bytes(b"?")
    async with office(tmp_path, mock_clock) as at:
        await settle()
        assert at.alarm.startswith("mail-damaged: messages that cannot be sent: ")


async def test_a_queue_that_cannot_be_read_is_an_alarm_and_new_mail_is_sent(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    (tmp_path / "mail").write_bytes(b"in the way")
    async with office(tmp_path, mock_clock) as at:
        await settle()
        assert at.alarm.startswith("mail-damaged: messages that cannot be sent: ")
        at.postman.post(notice(1), hold_s=10)
        await settle()
        assert "mail-failed" in at.alarm
        assert "n.1.json: cannot be written" in at.alarm
        assert await at.after(11) == [("n.1", A)]
        assert "mail-failed" not in at.alarm


# The password.


@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_what_is_no_file_is_no_password_file(tmp_path: Path, kind: str) -> None:
    """R50: found by review; a pipe was waited for."""
    path = tmp_path / "password"
    if kind == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path.mkdir()
    why = "is no regular file|Is a directory"
    with pytest.raises(NotifyError, match=f"mail.password_file {path}: ({why})") as caught:
        notifier_options(MailSettings(account="sbs", password_file=str(path)))
    assert not caught.value.permanent


def test_the_password_comes_from_the_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R50"""
    monkeypatch.setenv("SBS_MAIL_PASSWORD", "from the environment")
    assert take_password() == "from the environment"
    assert "SBS_MAIL_PASSWORD" not in os.environ
    assert take_password() == ""
    path = tmp_path / "password"
    path.write_bytes("pässword\r\nmore\n".encode())
    path.chmod(0o640)
    with_file = MailSettings(account="sbs", password_file=str(path))
    assert notifier_options(with_file, "other").password == "pässword"
    assert notifier_options(MailSettings(account="sbs"), "other").password == "other"
    assert notifier_options(MailSettings(), "other").password == ""
    assert "pässword" not in repr(notifier_options(with_file))


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (b"secret", 0o604, "everybody can read it"),
        (b"\n", 0o600, "its first line must hold the password"),
        (b"x" * (MAX_PASSWORD_BYTES + 1), 0o600, "its first line must hold the password"),
        (b"\xff\xfe", 0o600, "its first line is no UTF-8 text"),
    ],
)
def test_a_password_file_that_is_none_is_refused(
    tmp_path: Path, content: bytes, mode: int, why: str
) -> None:
    """R50: the text does not hold what is in the file."""
    path = tmp_path / "password"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(NotifyError, match=f"mail.password_file {path}: {why}") as caught:
        notifier_options(MailSettings(account="sbs", password_file=str(path)))
    assert "secret" not in repr(caught.value.__cause__) + str(caught.value)
