"""R62: the file is replaced as a whole, keeps its mode, and another editor is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sbs.config.editing import with_value
from sbs.dialog.file import ChangedError, ConfigFile
from sbs.errors import ConfigError

TEXT = '[node]\nname = "alpha" # cellar\npeer = "127.0.0.1:4446"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text(TEXT)
    return path


def test_it_is_replaced_with_mode_owner_and_attributes(path: Path) -> None:
    path.chmod(0o640)
    os.setxattr(path, "user.kept", b"yes")
    if os.geteuid() == 0:
        os.chown(path, 65534, 65533)
    before = path.stat()
    file = ConfigFile.read(str(path))
    saved = file.write(with_value(file.text, ("node", "name"), "beta"))
    after = path.stat()
    assert path.read_text() == TEXT.replace("alpha", "beta") == saved.text
    assert after.st_ino != before.st_ino  # never half of it
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert os.getxattr(path, "user.kept") == b"yes"
    assert os.listdir(path.parent) == ["alpha.toml"]
    saved.write(with_value(saved.text, ("node", "name"), "gamma"))
    assert "gamma" in path.read_text()


def test_another_editor_is_noticed(path: Path) -> None:
    file = ConfigFile.read(str(path))
    path.write_text(TEXT + "# by hand\n")
    assert file.is_changed()
    with pytest.raises(ChangedError, match="another program has changed it"):
        file.write(with_value(file.text, ("node", "name"), "beta"))
    assert path.read_text() == TEXT + "# by hand\n"
    again = ConfigFile.read(str(path))
    again.write(with_value(again.text, ("node", "name"), "beta"))
    assert path.read_text() == TEXT.replace("alpha", "beta") + "# by hand\n"


def test_what_config_check_refuses_is_not_saved(path: Path) -> None:
    file = ConfigFile.read(str(path))
    with pytest.raises(ConfigError, match=r"node\.peer = .*is this node itself"):
        file.write(with_value(file.text, ("node", "listen"), "127.0.0.1:4446"))
    assert path.read_text() == TEXT


def test_a_link_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    file = ConfigFile.read(str(link))
    file.write(with_value(file.text, ("node", "name"), "beta"))
    assert link.is_symlink()
    assert "beta" in path.read_text()


def test_marks_and_ends_of_lines_of_another_system_stay(path: Path) -> None:
    data = b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()
    path.write_bytes(data)
    file = ConfigFile.read(str(path))
    file.write(with_value(file.text, ("node", "name"), "beta"))
    assert path.read_bytes() == data.replace(b"alpha", b"beta")


def test_what_cannot_be_read_is_said(path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        ConfigFile.read(str(path.parent / "none.toml"))
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="byte 0 is not UTF-8"):
        ConfigFile.read(str(path))


def test_what_cannot_be_written_leaves_the_former_file(path: Path) -> None:
    file = ConfigFile.read(str(path))
    missing = ConfigFile(path=str(path.parent / "gone.toml"), data=file.data)
    with pytest.raises(ConfigError, match="cannot be read"):
        missing.write(file.text)
    assert os.listdir(path.parent) == ["alpha.toml"]
