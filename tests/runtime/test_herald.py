"""What the herald of a node in a pair has mailed: R51, B50."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from sbs.config import Config, MailSettings, NodeSettings
from sbs.core import events as ev
from sbs.core import licence as licences
from sbs.core.address import Address
from sbs.core.alarm import Alarm
from sbs.core.claim import Claim, Mode, Policy, Role
from sbs.core.effects import Durable, Via
from sbs.core.epoch import NO_EPOCH
from sbs.core.history import Generation, History
from sbs.core.notice import Kind, Notice
from sbs.core.role import Model, Settings, transition
from sbs.errors import ConfigError, RejectedError
from sbs.ports import Listener
from sbs.runtime import clock
from sbs.runtime.alarms import Alarms
from sbs.runtime.mailing import herald
from sbs.runtime.mailing.postman import Postman
from sbs.testing.licences import FakePolicy, licence
from sbs.testing.nodes import MemoryPair, memory_pair, wait_until
from sbs.testing.notifiers import MemoryNotifier
from tests.runtime.rig import fake, running

A = "a@example.org"


@asynccontextmanager
async def mailing_pair(
    directory: Path, also: Sequence[str] = ("handover", "restart"), path: str = ""
) -> AsyncGenerator[tuple[MemoryPair, MemoryNotifier], None]:
    far_end = MemoryNotifier()
    async with memory_pair(directory, notifier=far_end.open) as pair:
        for node in (pair.alpha, pair.beta):
            mail = MailSettings(
                enabled=True, sender="sbs@example.org", receivers=(A,), also=tuple(also)
            )
            node.config = attrs.evolve(node.config, mail=mail, path=path)
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
    assert os.listdir(Path(pair.beta.config.node.state_dir) / "mail") == ["told"]


async def test_a_service_that_does_not_start_is_in_the_mail(tmp_path: Path) -> None:
    """R51: whether anything has to be done."""
    async with mailing_pair(tmp_path) as (pair, far_end):
        fake(pair.beta).fail_start("printer-2")
        await pair.alpha.kill()
        await wait_until(lambda: far_end.notices, "the mail arrives")
    (sent,) = far_end.notices
    assert "printer-2" in sent.failed
    assert sent.started


async def test_a_service_that_is_given_up_is_mailed_without_being_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B32, B50: found by a newcomer; the takeover's mail said that all was well."""
    monkeypatch.setattr(herald.Herald.__init__, "__kwdefaults__", {"settle_s": 0.1})
    async with mailing_pair(tmp_path, ()) as (pair, far_end):
        await pair.beta.stop()
        once = attrs.evolve(pair.beta.config.services, restart_limit=1, restart_delay_s=0.01)
        pair.beta.config = attrs.evolve(pair.beta.config, services=once)
        await pair.beta.start()
        await pair.wait_in_step(pair.alpha)
        await pair.alpha.kill()
        await wait_until(lambda: far_end.notices, "the mail of the takeover arrives")
        fake(pair.beta).fail_start("printer-1", "no driver")
        fake(pair.beta).crash("printer-1", "exited with code 3")
        await wait_until(lambda: far_end.notices[1:], "the other mail arrives")
        await trio.sleep(0.5)
    takeover, urgent = far_end.notices
    assert takeover.failed == ""
    assert (urgent.kind, urgent.code) == (Kind.URGENT, "service-given-up")
    assert "cannot start: no driver; given up after 1 restarts" in urgent.why
    assert "sbs unit start printer-1" in urgent.why
    assert "restart SBS" in urgent.why


async def test_a_service_that_ends_again_and_again_is_mailed_once_without_being_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B32, B50: found by a newcomer; each end was over before it was mailed."""
    monkeypatch.setattr(herald.Herald.__init__, "__kwdefaults__", {"settle_s": 0.1})
    monkeypatch.setattr("sbs.core.restarts.APART_S", 0.0)
    async with mailing_pair(tmp_path, ()) as (pair, far_end):
        await pair.alpha.stop()
        fast = attrs.evolve(pair.alpha.config.services, restart_limit=100, restart_delay_s=0.01)
        pair.alpha.config = attrs.evolve(pair.alpha.config, services=fast)
        await pair.beta.stop()
        await pair.alpha.start()
        for _ in range(4):
            await wait_until(lambda: fake(pair.alpha).present["printer-1"].running, "it runs")
            fake(pair.alpha).crash("printer-1")
        await wait_until(lambda: far_end.notices, "the mail arrives")
        await trio.sleep(0.3)
    (urgent,) = far_end.notices
    assert (urgent.kind, urgent.code) == (Kind.URGENT, "service-unstable")


class TurnedAway:
    """The peer answers, and does not know this node (B62)."""

    async def listen(self, address: str) -> Listener:
        raise AssertionError(address)

    async def dial(self, address: str) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        raise RejectedError(f"{address}: it does not know this node's certificate", "sbs pair")


async def test_nodes_that_do_not_know_each_other_any_more_are_mailed_without_being_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B50, B62: who is turned away waits without an end, so somebody has to be told."""
    monkeypatch.setattr(herald.Herald.__init__, "__kwdefaults__", {"settle_s": 0.1})
    async with mailing_pair(tmp_path, ()) as (pair, far_end):
        for node in (pair.alpha.node, pair.beta.node):
            node.links._transport = TurnedAway()
        session = pair.beta.node.model.session
        assert session is not None
        pair.beta.node.links.close(session)
        await wait_until(lambda: far_end.notices[1:], "the mails arrive")
        await trio.sleep(0.3)
    told = sorted((each.node, each.role, each.kind, each.code) for each in far_end.notices)
    assert told == [
        ("alpha", "primary", Kind.URGENT, "identity-refused"),
        ("beta", "secondary", Kind.URGENT, "identity-refused"),
    ]
    assert all("sbs pair" in each.why for each in far_end.notices)


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What whoever filters the log for warnings sees of takeovers."""
    records = [each for each in caplog.records if each.levelno >= logging.WARNING]
    return [str(each.msg) for each in records if getattr(each.msg, "name", "") == "taken-over"]


async def test_a_takeover_is_a_warning_in_the_log_whether_it_is_mailed_or_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """B50: found by a newcomer; an ordinary start, a handover and a restart are none."""
    async with memory_pair(tmp_path) as pair:
        await pair.start()
        await pair.alpha.node.switchover()
        await pair.wait_in_step(pair.beta)
        await pair.beta.stop()
        await pair.alpha.wait_role(Role.PRIMARY)
        await pair.alpha.kill()
        await pair.alpha.start()
        await pair.beta.start()
        await pair.wait_in_step(pair.alpha)
        assert not warned(caplog)
        await pair.alpha.kill()
        await wait_until(lambda: running(pair.beta), "the services run")
    (line,) = warned(caplog)
    assert line.startswith(f"taken over from alpha, epoch {pair.beta.node.model.primacy}: the pri")


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
        pair.beta.node.alarms.raise_(Alarm.WATCH_FAILED, "of no urgency")
        await trio.sleep(0.5)
        pair.beta.node.alarms.clear(Alarm.WATCH_FAILED)
        await trio.sleep(0.1)
        pair.beta.node.alarms.raise_(Alarm.WATCH_FAILED, "of no urgency")
        pair.beta.node.alarms.raise_(Alarm.MAIL_FAILED, "of which no mail can tell")
        await wait_until(lambda: len(far_end.notices) == 1 + 2 * len(also), "the mails arrive")
        await trio.sleep(0.5)
    urgent, *others = far_end.notices
    assert (urgent.kind, urgent.code, urgent.role) == (Kind.URGENT, "primary-lost", "waiting")
    assert "sbs resume" in urgent.why
    assert [each.code for each in others] == ["watch-failed", "watch-failed"][: 2 * len(also)]
    assert len({each.id for each in far_end.notices}) == len(far_end.notices)


async def test_an_adapter_that_is_not_installed_ends_the_start(tmp_path: Path) -> None:
    async with memory_pair(tmp_path) as pair:
        mail = MailSettings(enabled=True, sender="sbs@example.org", receivers=(A,))
        object.__setattr__(mail, "adapter", "pigeon")  # as if it had been removed since
        pair.alpha.config = attrs.evolve(pair.alpha.config, mail=mail)
        with pytest.raises(ConfigError, match=r"mail.adapter = 'pigeon': installed adapters are"):
            await pair.alpha.start()


async def test_a_working_directory_that_is_gone_ends_no_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B50: found by review; ``-c beta.toml`` was resolved in the middle of the takeover."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    async with mailing_pair(tmp_path, path="beta.toml") as (pair, far_end):
        gone.rmdir()
        await pair.alpha.kill()
        await pair.beta.wait_role(Role.PRIMARY)
        await wait_until(lambda: far_end.notices, "the mail arrives")
        await pair.alpha.start()  # where it cannot be resolved even at the start
        await pair.wait_in_step(pair.beta)
    (sent,) = far_end.notices
    assert sent.config == str(gone / "beta.toml")


async def test_an_error_of_telling_ends_no_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """R51: whatever goes wrong in it, the services of a node that takes over start."""
    monkeypatch.setattr(herald.Herald.__init__, "__kwdefaults__", {"settle_s": 0.1})
    async with mailing_pair(tmp_path) as (pair, far_end):
        monkeypatch.setattr(herald, "brief", lambda _text: 1 // 0)
        await pair.alpha.kill()
        await pair.beta.wait_role(Role.PRIMARY)
        await wait_until(lambda: running(pair.beta), "the services run")
        pair.beta.node.alarms.raise_(Alarm.NO_VOTE, "urgent")
        await wait_until(lambda: caplog.text.count("an event could not be told") > 1, "both logged")
        assert pair.beta.running
    assert "ZeroDivisionError" in caplog.text
    assert far_end.notices == []


async def test_after_both_led_the_primary_tells_once_of_what_lies_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B4, B50: found by review; ``dual-primary`` is over before it is mailed."""
    monkeypatch.setattr(herald.Herald.__init__, "__kwdefaults__", {"settle_s": 0.2})
    async with mailing_pair(tmp_path, ()) as (pair, far_end):
        pair.alpha.write("f", "of both")
        await pair.beta.wait_file("f", "of both")
        pair.cut()
        await pair.beta.wait_role(Role.PRIMARY)
        pair.alpha.write("f", "of alpha")
        pair.beta.write("f", "of beta")
        pair.heal()
        for node in (pair.alpha, pair.beta):
            await node.wait_alarm("quarantine")
        await wait_until(lambda: far_end.notices[1:], "the mail arrives")
        await trio.sleep(0.5)
        urgent = [each for each in far_end.notices if each.kind is Kind.URGENT]
        (primary,) = (node for node in (pair.alpha, pair.beta) if node.role is Role.PRIMARY)
        assert [(each.node, each.code) for each in urgent] == [(primary.name, "quarantine")]
        assert "/f ->" in urgent[0].why
        await primary.node.switchover()
        await trio.sleep(0.5)
    assert [each.code for each in far_end.notices if each.code] == ["quarantine"]


class Posts(Postman):
    """Keeps what is posted, and sends nothing."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def post(self, notice: Notice, hold_s: float = 0.0, **_about: int) -> None:
        self.notices.append(notice)

    def amend(self, notice: Notice) -> None:
        self.notices.append(notice)


async def test_of_a_primary_that_came_back_and_yielded_the_outage_is_not_known() -> None:
    """R51: found by review; it was counted from when it came back."""
    epoch = NO_EPOCH.next(1)
    history = History((Generation(epoch, 0),))
    primary = Claim(
        node_id="a" * 32,
        name="alpha",
        mode=Mode.SYMMETRIC,
        priority=100,
        slot=1,
        role=Role.PRIMARY,
        epoch=epoch,
        history=history,
        services_die=True,
        policy=Policy.PROTECT,
    )
    settings = Settings(node_id="0" * 32, name="beta", enabled=("one",), policy=Policy.PROTECT)
    posts = Posts()
    mail = MailSettings(enabled=True, sender="sbs@example.org", receivers=(A,))
    node = NodeSettings(
        name="beta",
        listen=Address("127.0.0.1", 1),
        peer=Address("127.0.0.1", 2),
        state_dir="/nowhere",
    )
    teller = herald.Herald(
        Config(node=node, mail=mail), "0" * 32, Alarms(), last_update=lambda: None, postman=posts
    )
    model = Model(settings=settings, durable=Durable(slot=0, epoch=epoch, history=history))
    await trio.lowlevel.checkpoint()
    now = clock.now()
    lost_at, back_at = now - 600, now - 1
    undecided = attrs.evolve(primary, role=Role.PROBING)
    story: tuple[tuple[float, ev.Event], ...] = (
        (lost_at, ev.Started()),
        (lost_at, ev.PeerMet(connection=1, claim=primary, dialled=True)),
        (lost_at, ev.Welcomed(connection=1, epoch=epoch, history=history)),
        (lost_at, ev.ConnectionLost(1)),
        (lost_at + 3, ev.TimePassed()),
        (back_at, ev.PeerMet(connection=2, claim=undecided, dialled=False)),
        (
            back_at,
            ev.FollowAsked(connection=2, claim=undecided, epoch=epoch, opened_at=back_at),
        ),
    )
    for at, event in story:
        model, effects = transition(model, event, at)
        for effect in effects:
            teller.note(model, effect)
    model, effects = transition(model, ev.Saved(model.serial), back_at)
    for effect in effects:
        teller.note(model, effect)
    teller.served(withheld=False)
    assert model.via is Via.YIELDED
    posted, amended = posts.notices
    assert posted.kind is Kind.TAKEOVER
    assert amended.started
    assert {each.outage_s for each in posts.notices} == {None}
    assert {each.heard_at for each in posts.notices} == {None}


@pytest.mark.parametrize("cut", [False, True])
async def test_a_takeover_is_mailed_though_its_process_died_before_it_could(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """R51, B50: found by review; with ``also = []`` nobody was told. It is mailed once."""
    async with mailing_pair(tmp_path, ()) as (pair, far_end):
        with monkeypatch.context() as patched:
            if cut:
                patched.setattr(Postman, "post", lambda *_args, **_about: None)
            await pair.alpha.kill()
            await pair.beta.wait_role(Role.PRIMARY)
            takeover = pair.beta.node.model.primacy
            if not cut:
                await wait_until(lambda: far_end.notices, "the mail arrives")
            await pair.beta.kill()
        for _ in range(2):
            await pair.beta.start()
            await wait_until(lambda: running(pair.beta), "the services run")
            await wait_until(lambda: far_end.notices, "the mail arrives")
            await pair.beta.kill()
    assert os.listdir(Path(pair.beta.config.node.state_dir) / "mail") == ["told"]
    (sent,) = far_end.notices
    assert sent.id == f"takeover.{pair.beta.node.model.settings.node_id}.{takeover.number}"
    assert sent.kind is (Kind.RESTART if cut else Kind.TAKEOVER)
    assert sent.started
    assert sent.why.endswith("it began as a takeover") is cut


async def test_a_restart_after_a_handover_is_not_mailed_as_a_takeover(tmp_path: Path) -> None:
    """B50: optional mails."""
    async with mailing_pair(tmp_path, ()) as (pair, far_end):
        await pair.alpha.node.switchover()
        await pair.beta.wait_role(Role.PRIMARY)
        await pair.alpha.kill()
        told = Path(pair.beta.config.node.state_dir) / "mail" / "told"
        await wait_until(told.exists, "the handover is remembered")
        await pair.beta.kill()
        await pair.beta.start()
        await pair.beta.wait_role(Role.PRIMARY)
        await pair.beta.stop()
    assert far_end.notices == []
