"""Parts of the dialog that need no screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbs.adapters.services.systemd import own_service
from sbs.core.claim import Role
from sbs.dialog.acts import start
from sbs.dialog.draft import Draft
from sbs.dialog.logo import LOOKS, SILENT, logo, look_of
from sbs.dialog.plot import MAX_UPDATES, Updates, plot, size
from sbs.dialog.preview import look
from sbs.dialog.typed import setting
from sbs.errors import ConfigError


def test_every_state_has_a_shape_of_its_own() -> None:
    """R61: without its colour, too."""
    assert set(LOOKS) == {role.value for role in Role}
    looks = [*LOOKS.values(), SILENT]
    assert len({look.emblem for look in looks}) == len({look.sign for look in looks}) == len(looks)
    for state in [*LOOKS, "silent"]:
        lines = logo(look_of(state), state).split("\n")
        assert len(lines) == 5
        assert max(map(len, lines)) <= 76
        word = [line[12:] for line in lines]
        for start_ in range(0, 6 * len(state) - 6, 6):
            assert any("█" in line[start_ : start_ + 6] for line in word), state


def test_updates_are_plotted_once_each() -> None:
    updates = Updates()
    updates.note(None)
    for at in (1.0, 1.0, 2.0, 3.0):
        updates.note({"at": at, "duration_s": at / 10})
    assert updates.durations_s == (0.1, 0.2, 0.3)
    assert plot(updates.durations_s) == "▃▆█"
    for at in range(100):
        updates.note({"at": at, "duration_s": 0.0})
    assert len(updates.durations_s) == MAX_UPDATES
    assert plot([0, 0]) == "▁▁"
    assert plot([]) == ""


def test_sizes_are_for_people() -> None:
    assert [size(n) for n in (0, 1023, 1536, 3 * 2**30, 2**50)] == [
        *("0 bytes", "1023 bytes", "1.5 KiB", "3.0 GiB", "1024.0 TiB"),
    ]


def test_a_preview_counts_and_shows_each_rule(tmp_path: Path) -> None:
    """R21."""
    for name in ("a.conf", "b.conf", "c.tmp", "sub/d.conf", "cache/e", ".sbs.staging/f"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    found = look(str(tmp_path), ["- *.tmp", "- cache/", "+ a*"])
    assert (found.files, found.size_bytes, found.excluded, found.complete) == (3, 15, 2, True)
    assert [(each.path, each.decision.number) for each in found.examples] == [
        *[("b.conf", 0), ("sub/", 0), ("sub/d.conf", 0)],
        *[("c.tmp", 1), ("cache/", 2), ("a.conf", 3)],
    ]
    assert not look(str(tmp_path), [], lambda: True).complete
    with pytest.raises(FileNotFoundError):
        look(str(tmp_path / "none"), [])


def test_a_preview_ends_at_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbs.dialog.preview.MAX_ENTRIES", 3)
    for number in range(5):
        (tmp_path / str(number)).touch()
    found = look(str(tmp_path), [])
    assert (found.files, found.complete) == (3, False)


def test_start_says_how_where_no_service_is_installed(tmp_path: Path) -> None:
    said = start(str(tmp_path / "x.toml"))
    assert f"sbs service install -c {tmp_path}/x.toml" in said
    assert f"sbs run -c {tmp_path}/x.toml" in said


def test_start_finds_the_unit_of_this_very_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R61: what ``sbs service install`` wrote, and nothing that looks like it."""
    monkeypatch.setattr(own_service, "UNITS", tmp_path)
    config = "/etc/sbs/100%.toml"
    text = own_service.unit_file(["sbs", "run", "-c", config], config)
    (tmp_path / "alpha.service").write_text(text)
    (tmp_path / "a.service").write_text(text.removeprefix(own_service.MARK))  # somebody else's
    (tmp_path / "dir.service").mkdir()
    assert own_service.unit_of(config) == "alpha.service"
    assert own_service.unit_of("/etc/sbs/100") == ""
    started: list[str] = []
    monkeypatch.setattr(own_service, "start", started.append)
    assert start(config) == "systemd starts alpha.service"
    assert started == ["alpha.service"]


@pytest.mark.parametrize(
    ("path", "text", "raw"),
    [
        (("sync", "watch"), "no", False),
        (("sync", "max_deletes"), "5", 5),
        (("sync", "max_deletes"), "off", "off"),
        (("failover", "fence"), '["a", "b, c"]', ["a", "b, c"]),
        (("failover", "fence"), "", []),
        (("mail", "receivers"), "a@b.org,c@d.org", ["a@b.org", "c@d.org"]),
        (("hooks", "update"), '[["a", "b"]]', [["a", "b"]]),
        (("node", "listen"), "127.0.0.1", "127.0.0.1"),
    ],
)
def test_what_is_typed_is_what_is_shown(path: tuple[str, str], text: str, raw: object) -> None:
    found = setting(*path)
    assert found.raw(text) == raw
    assert found.raw(found.text(raw) or "[]") == raw


def test_defaults_are_in_the_words_that_are_typed() -> None:
    assert setting("sync", "watch").default == "yes"
    assert setting("mail", "also").default == "handover, restart"
    assert setting("node", "peer").default == ""
    assert setting("node", "mode").default == "symmetric"
    with pytest.raises(ValueError, match="allowed is a, b, c or an array"):
        setting("mail", "receivers").raw("[x")


def test_a_field_that_is_empty_for_a_moment_keeps_its_place_and_comment(tmp_path: Path) -> None:
    """R62: found by typing into the dialog."""
    path = tmp_path / "x.toml"
    text = '[node]\nname = "alpha"  # on the case\npeer = "127.0.0.1:4446"\n'
    path.write_text(text)
    draft = Draft(str(path))
    name, peer = setting("node", "name"), setting("node", "peer")
    for typed in ("", "b", "be"):
        draft.type(name, typed)
    assert draft.text == text.replace("alpha", "be")
    draft.type(peer, "")
    assert draft.why(peer) == "required is host, host:port, [IPv6] or [IPv6]:port"
    assert draft.text == text.replace("alpha", "be")
    draft.type(peer, "other")
    draft.save()
    assert path.read_text() == text.replace("alpha", "be").replace("127.0.0.1:4446", "other")
    draft.type(name, "")
    draft.save()
    assert path.read_text() == '[node]\npeer = "other"\n'


def test_wrong_values_of_a_folder_go_with_it(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[node]\npeer = "127.0.0.1:4446"\n')
    draft = Draft(str(path))
    index = draft.add(("folders",), name="a")
    draft.type(setting("folders", index, "path"), "")
    assert draft.is_changed
    with pytest.raises(ConfigError, match=r"folders\[1\].path = '': required is a path"):
        draft.save()
    draft.remove(("folders", index))
    assert not draft.wrong
    draft.save()
