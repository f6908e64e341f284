"""Queue, postman and herald: R51, B50. What the servers do is in tests/adapters/test_smtp.py."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from sbs.config import MailSettings
from sbs.core import licence as licences
from sbs.core.claim import Role
from sbs.core.notice import Kind, Notice
from sbs.errors import ConfigError, NotifyError, StateError
from sbs.ports import Notifier, NotifierOptions, SendStep
from sbs.runtime import herald, outbox
from sbs.runtime.alarms import Alarms
from sbs.runtime.outbox import MAX_ENTRIES, Entry, Outbox
from sbs.runtime.password import MAX_PASSWORD_BYTES, notifier_options, take_password
from sbs.runtime.postman import Pace, Postman
from sbs.testing.licences import FakePolicy, licence
from sbs.testing.nodes import MemoryPair, memory_pair, wait_until
from sbs.testing.notifiers import Delivery, MemoryNotifier
from tests.runtime.rig import fake

A, B = "a@example.org", "b@example.org"
OPTIONS = NotifierOptions(server="-", port=1, sender="sbs@example.org")


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
    """Return when the postman waits: also for the threads that write."""
    for _ in range(5):
        await trio.to_thread.run_sync(lambda: None)
        await trio.testing.wait_all_tasks_blocked(0.005)


@asynccontextmanager
async def office(
    state_dir: Path,
    clock: trio.testing.MockClock,
    *,
    receivers: Sequence[str] = (A,),
    far_end: MemoryNotifier | None = None,
    options: Callable[[], NotifierOptions] = lambda: OPTIONS,
) -> AsyncGenerator[Office, None]:
    far_end = far_end or MemoryNotifier()
    alarms = Alarms()
    postman = Postman(
        receivers,
        Outbox(str(state_dir)),
        alarms,
        open_notifier=far_end.open,
        options=options,
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
        at.postman.post(notice(2))
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
    async with office(tmp_path, mock_clock, options=partial(notifier_options, settings)) as at:
        at.postman.post(notice(1))
        await settle()
        assert f"mail.password_file {tmp_path}/missing: No such file" in at.alarm
        (tmp_path / "missing").write_text("secret\n")
        (tmp_path / "missing").chmod(0o600)
        assert await at.after(5.1) == [("n.1", A)]
        assert at.alarm == ""


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


# The herald, in a pair.


@asynccontextmanager
async def mailing_pair(
    directory: Path, also: Sequence[str] = ("handover", "restart")
) -> AsyncGenerator[tuple[MemoryPair, MemoryNotifier], None]:
    far_end = MemoryNotifier()
    async with memory_pair(directory, notifier=far_end.open) as pair:
        for node in (pair.alpha, pair.beta):
            mail = MailSettings(
                enabled=True, sender="sbs@example.org", receivers=(A,), also=tuple(also)
            )
            node.config = attrs.evolve(node.config, mail=mail)
        await pair.start()
        yield pair, far_end


async def test_a_takeover_is_mailed_once_and_says_what_happened(tmp_path: Path) -> None:
    """R51, B50"""
    async with mailing_pair(tmp_path) as (pair, far_end):
        assert not far_end.notices  # an ordinary start is none
        pair.alpha.write("a", "1")
        await pair.beta.wait_file("a", "1")
        await pair.alpha.kill()
        await pair.beta.wait_role(Role.PRIMARY)
        await wait_until(lambda: far_end.notices, "the mail arrives")
        await pair.beta.stop()
    (sent,) = far_end.notices
    beta = pair.beta.node.model
    assert sent.id == f"takeover.{beta.settings.node_id}.{beta.primacy.number}"
    assert sent.kind is Kind.TAKEOVER
    assert (sent.node, sent.peer, sent.role) == ("beta", "alpha", "primary")
    assert sent.epoch == str(beta.primacy)
    assert sent.services == ("printer-1", "printer-2")
    assert sent.started
    assert sent.failed == ""
    assert sent.generation == beta.durable.history.number > 0
    assert sent.updated_at is not None
    assert sent.heard_at is not None
    assert sent.outage_s is not None
    assert sent.heard_at <= sent.at
    assert 0 <= sent.outage_s < 60
    assert sent.why
    assert not files(Path(pair.beta.config.node.state_dir))


async def test_a_service_that_does_not_start_is_in_the_mail(tmp_path: Path) -> None:
    """R51: whether anything has to be done."""
    async with mailing_pair(tmp_path) as (pair, far_end):
        fake(pair.beta).fail_start("printer-2")
        await pair.alpha.kill()
        await wait_until(lambda: far_end.notices, "the mail arrives")
    (sent,) = far_end.notices
    assert "printer-2" in sent.failed
    assert sent.started


@pytest.mark.parametrize("also", [("handover",), ()])
async def test_a_handover_is_mailed_if_it_is_wanted(tmp_path: Path, also: Sequence[str]) -> None:
    """B50: optional mails."""
    async with mailing_pair(tmp_path, also) as (pair, far_end):
        await pair.alpha.node.switchover()
        await pair.wait_in_step(pair.beta)
        await pair.beta.stop()
        await pair.alpha.wait_role(Role.PRIMARY)
        await wait_until(lambda: len(far_end.notices) == 2 * len(also), "the mails arrive")
    kinds = [(each.kind, each.node) for each in far_end.notices]
    assert kinds == [(Kind.HANDOVER, "beta"), (Kind.HANDOVER, "alpha")][: 2 * len(also)]


async def test_the_end_of_a_takeover_is_mailed_if_it_is_wanted(tmp_path: Path) -> None:
    """B50: that the pair is complete again, once."""
    async with mailing_pair(tmp_path, ("recovery",)) as (pair, far_end):
        await pair.alpha.kill()
        await pair.beta.wait_role(Role.PRIMARY)
        await pair.alpha.start()
        await pair.wait_in_step(pair.beta)
        pair.beta.write("a", "1")
        await pair.alpha.wait_file("a", "1")
        await wait_until(lambda: len(far_end.notices) == 2, "the mails arrive")
        await pair.alpha.kill()
        await pair.alpha.start()
        await pair.wait_in_step(pair.beta)
    takeover, recovery = far_end.notices
    assert (takeover.kind, recovery.kind) == (Kind.TAKEOVER, Kind.RECOVERY)
    assert (recovery.node, recovery.peer, recovery.epoch) == ("beta", "alpha", takeover.epoch)
    assert recovery.services == ("printer-1", "printer-2")


async def test_services_that_the_licence_withholds_are_in_the_mail(tmp_path: Path) -> None:
    """R41, R51: nobody is told that they run."""
    policy = FakePolicy()
    async with mailing_pair(tmp_path) as (pair, far_end):
        await pair.beta.kill()
        await pair.alpha.kill()
        policy.put(licence(licences.Kind.BACKUP, "alpha"), "alpha")
        pair.alpha.licence = policy.open
        await pair.alpha.start()
        await pair.alpha.wait_alarm("licence")
        await wait_until(lambda: far_end.notices, "the mail arrives")
        withheld = pair.alpha.alarms["licence"]
    (sent,) = far_end.notices
    assert sent.kind is Kind.RESTART
    assert sent.failed == withheld
    assert sent.problems == ()


async def test_a_primary_that_comes_back_by_itself_is_mailed(tmp_path: Path) -> None:
    """B50"""
    async with mailing_pair(tmp_path) as (pair, far_end):
        await pair.beta.kill()
        await pair.alpha.kill()
        await pair.alpha.start()
        await wait_until(lambda: far_end.notices, "the mail arrives")
    (sent,) = far_end.notices
    assert sent.kind is Kind.RESTART
    assert sent.node == "alpha"


@pytest.mark.parametrize("also", [("alarm",), ()])
async def test_an_alarm_that_stays_is_mailed_once(
    tmp_path: Path, also: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """B50: those under which nothing goes on always, others if they are wanted."""
    monkeypatch.setattr(herald.Herald.__init__, "__kwdefaults__", {"settle_s": 0.2})
    async with mailing_pair(tmp_path, also) as (pair, far_end):
        await pair.alpha.node.pause()
        await wait_until(lambda: pair.beta.node.model.durable.pause.on, "beta knows of the pause")
        await pair.alpha.kill()
        await pair.beta.wait_alarm("primary-lost")
        await wait_until(lambda: far_end.notices, "the mail arrives")
        pair.beta.node.alarms.raise_("some-alarm", "of no urgency")
        await trio.sleep(0.5)
        pair.beta.node.alarms.clear("some-alarm")
        await trio.sleep(0.1)
        pair.beta.node.alarms.raise_("some-alarm", "of no urgency")
        pair.beta.node.alarms.raise_("mail-failed", "of which no mail can tell")
        await wait_until(lambda: len(far_end.notices) == 1 + 2 * len(also), "the mails arrive")
        await trio.sleep(0.5)
    urgent, *others = far_end.notices
    assert (urgent.kind, urgent.code, urgent.role) == (Kind.URGENT, "primary-lost", "waiting")
    assert "sbs resume" in urgent.why
    assert [each.code for each in others] == ["some-alarm", "some-alarm"][: 2 * len(also)]
    assert len({each.id for each in far_end.notices}) == len(far_end.notices)


async def test_an_adapter_that_is_not_installed_ends_the_start(tmp_path: Path) -> None:
    async with memory_pair(tmp_path) as pair:
        mail = MailSettings(enabled=True, sender="sbs@example.org", receivers=(A,))
        object.__setattr__(mail, "adapter", "pigeon")  # as if it had been removed since
        pair.alpha.config = attrs.evolve(pair.alpha.config, mail=mail)
        with pytest.raises(ConfigError, match=r"mail.adapter = 'pigeon': installed adapters are"):
            await pair.alpha.start()
