"""R62, R50: each setting of the dialog is filled in by keys, checked as typed, saved, and read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from sbs.config import load
from sbs.config.text import dotted
from sbs.dialog.app import Dialog
from sbs.dialog.settings_tab import groups
from sbs.dialog.typed import Setting, settings_of
from tests.dialog.driving import TEXT, driven, field, fill, shown, until

SAMPLES: Final[Mapping[str, str]] = {
    "node.name": "beta",
    "node.mode": "backup-only",
    "node.listen": "127.0.0.1:5000",
    "node.peer": "127.0.0.2",
    "node.state_dir": "/tmp/sbs-x",
    "node.priority": "7",
    "node.slot": "1",
    "sync.period_s": "4.5",
    "sync.strict_delete": "yes",
    "sync.preserve_mtime": "yes",
    "sync.watch": "no",
    "sync.max_deletes": "10%",
    "sync.rescan_s": "60",
    "sync.compression": "off",
    "sync.max_bytes_s": "1000000",
    "sync.accept_under": "/srv/a, /srv/b",
    "sync.keep_versions_s": "0",
    "sync.keep_versions_bytes": "99",
    "hooks.update": '[["/bin/a","-x"]]',
    "hooks.apply": '[["b"],["c"]]',
    "hooks.transition": "[]",
    "hooks.timeout_s": "9",
    "hooks.on_update_failure": "hold",
    "requirements.install_path": "/opt/app",
    "requirements.account": "app",
    "requirements.capture_folder": "/srv/in",
    "services.adapter": "systemd",
    "services.restart_limit": "0",
    "services.restart_period_s": "60",
    "services.restart_delay_s": "2",
    "services.on_failure": "handover",
    "services.handover_pause_s": "60",
    "failover.heartbeat_interval_s": "0.25",
    "failover.down_interval_s": "3",
    "failover.probe_timeout_s": "1",
    "failover.partition_policy": "protect",
    "failover.start_alone": "only-if-last-primary",
    "failover.stop_bound_s": "1",
    "failover.max_clock_drift": "0.02",
    "failover.failback": "manual",
    "failover.failback_delay_s": "5",
    "failover.fence": "/bin/true, now",
    "witness.adapter": "folder",
    "witness.path": "/mnt/w",
    "witness.endpoints": "http://a:2379, http://b:2379",
    "witness.lease_s": "6",
    "witness.pair": "cellar",
    "licence.adapter": "file",
    "licence.path": "l.json",
    "licence.trusted_keys": "",
    "tls.identity": "identity.pem",
    "tls.peer_certificate": "peer.pem",
    "tls.insecure": "yes",
    "web.listen": "127.0.0.1:4447",
    "mail.enabled": "yes",
    "mail.adapter": "smtp",
    "mail.server": "mail.example.org",
    "mail.port": "587",
    "mail.security": "starttls",
    "mail.ca_file": "ca.pem",
    "mail.account": "sbs",
    "mail.password_file": "secret",
    "mail.sender": "sbs@example.org",
    "mail.receivers": "a@example.org, b@example.org",
    "mail.also": "alarm",
}
"""A value for each setting, as a person types it."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text(TEXT)
    return path


async def _fill_all(app: Dialog, pilot: Pilot[None], settings: tuple[Setting, ...]) -> None:
    """Type a value for each, and look that it stands in the file's text, or why it does not."""
    for setting in settings:
        text = SAMPLES[dotted(setting.path)]
        await fill(app, pilot, setting, text)
        why = app.draft.why(setting)
        if why:  # of a section that this version knows by name only
            assert "not available in this version" in why
            await fill(app, pilot, setting, "")
        else:
            expected = setting.raw(text) if text else None
            assert app.draft.value(setting.path) == expected, setting.path
        assert not app.draft.why(setting)


@pytest.mark.parametrize("group", [name for name, _ in groups()])
def test_every_setting_is_typed_and_stands_in_the_file(path: Path, group: str) -> None:
    settings = dict(groups())[group]

    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        await pilot.press("f2")
        names = [name for name, _ in groups()]
        app.query_one("#settings OptionList", OptionList).focus()
        await pilot.press("home", *["down"] * names.index(group))
        if settings:
            await until(pilot, lambda: app.query(f"#field-{'-'.join(map(str, settings[0].path))}"),
                        "the group is shown")  # fmt: skip
        await _fill_all(app, pilot, settings)

    driven(path, drive)


def test_mail_is_set_up_and_saved(path: Path) -> None:
    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        await pilot.press("f3")
        await _fill_all(app, pilot, settings_of(("mail",)))
        (path.parent / "secret").write_text("x")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not app.draft.is_changed, "saved")

    driven(path, drive)
    mail = load(path).mail
    assert (mail.server, mail.port, mail.security) == ("mail.example.org", 587, "starttls")
    assert mail.receivers == ("a@example.org", "b@example.org")
    assert path.read_text().startswith(TEXT)


def test_there_is_a_sample_for_every_setting() -> None:
    offered = {dotted(each.path) for _, group in groups() for each in group}
    offered |= {dotted(each.path) for each in settings_of(("mail",))}
    assert offered == SAMPLES.keys()


def test_what_is_wrong_is_said_as_typed_and_is_not_saved(path: Path) -> None:
    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        await pilot.press("f2")
        period = next(each for each in dict(groups())["pair"] if each.name == "period_s")
        await fill(app, pilot, period, "soon")
        said = shown(app, "#settings .help")
        assert "✗ is a string, expected a number from" in said
        assert "Seconds from one update to the next" in said
        assert "✗ sync.period_s" in str(field(app, period).query_one("Label", Static).render())
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(app.screen_stack) == 2, "a window says why not")
        assert "sync.period_s = 'soon': is a string" in shown(app, "#report")
        await pilot.press("escape")
        await fill(app, pilot, period, "5")
        assert "Allowed: a number from" in shown(app, "#settings .help")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not app.draft.is_changed, "saved")

    driven(path, drive)
    assert load(path).sync.period_s == 5
    assert path.read_text() == f"{TEXT}\n[sync]\nperiod_s = 5\n"


def test_rules_between_settings_are_those_of_config_check(path: Path) -> None:
    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        await pilot.press("f2")
        listen = next(each for each in dict(groups())["pair"] if each.name == "listen")
        await fill(app, pilot, listen, "127.0.0.1:4446")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(app.screen_stack) == 2, "a window says why not")
        assert "node.peer" in shown(app, "#report")
        assert "is this node itself" in shown(app, "#report")
        await pilot.press("escape")
        await fill(app, pilot, listen, "")  # the default again
        assert not app.draft.is_changed

    driven(path, drive)
    assert path.read_text() == TEXT


def test_a_value_of_the_file_that_is_wrong_is_shown_and_can_be_mended(path: Path) -> None:
    path.write_text(TEXT + '[sync]\nperiod_s = "x"\n[failover]\nfailback = "never"\n')

    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        await pilot.press("f2")
        period = next(each for each in dict(groups())["pair"] if each.name == "period_s")
        assert field(app, period).query_one(Input).value == "x"
        assert field(app, period).has_class("wrong")
        await fill(app, pilot, period, "6")
        app.query_one("#settings OptionList", OptionList).focus()
        await pilot.press("home", *["down"] * [name for name, _ in groups()].index("failover"))
        failback = next(each for each in settings_of(("failover",)) if each.name == "failback")
        await until(pilot, lambda: app.query("#field-failover-failback"), "the group is shown")
        await until(pilot, lambda: field(app, failback).has_class("wrong"), "it is wrong")
        await fill(app, pilot, failback, "auto")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not app.draft.is_changed, "saved")

    driven(path, drive)
    assert (load(path).sync.period_s, load(path).failover.failback) == (6, "auto")
