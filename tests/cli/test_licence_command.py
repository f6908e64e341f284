"""``sbs licence``: what the licence says, and whether it counts; no node runs (B40)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sbs.adapters.licences import form
from sbs.core.licence import Kind, Licence
from sbs.testing.licences import licence
from tests.support import sbs

VENDOR = Ed25519PrivateKey.generate()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of the node beta, which needs the licence ``beta.licence`` beside it."""
    path = tmp_path / "sbs.toml"
    key = form.key_text(VENDOR.public_key())
    path.write_text(
        '[node]\nname = "beta"\npeer = "127.0.0.1:4446"\nstate_dir = "state"\n'
        f'[licence]\nadapter = "file"\npath = "beta.licence"\ntrusted_keys = ["{key}"]\n'
    )
    return path


def put(config: Path, found: Licence, name: str = "beta.licence") -> Path:
    path = config.with_name(name)
    path.write_bytes(form.sign(found, VENDOR))
    return path


def test_a_licence_that_counts(config: Path) -> None:
    put(config, licence(Kind.BACKUP, "beta"))
    done = sbs("licence", "show", "-c", config)
    assert done.returncode == 0, done.stderr
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert (rows["kind"], rows["holder"], rows["expires"]) == ("backup", "Example Ltd", "never")
    shown = json.loads(sbs("licence", "show", "--json", "-c", config).stdout)
    assert (shown["kind"], shown["serial"], shown["problem"]) == ("backup", "2026-17", "")
    done = sbs("licence", "verify", "-c", config)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "valid: backup, serial 2026-17, for beta\n"


def test_one_that_ends_soon_is_valid_with_a_warning(config: Path) -> None:
    put(config, licence(Kind.FULL, "beta", days_left=12))
    done = sbs("licence", "verify", "-c", config)
    assert done.returncode == 0
    assert "ends in 12 days" in done.stderr
    assert "ends in 12 days" in sbs("licence", "show", "-c", config).stdout


def test_another_file_can_be_verified_before_it_is_put_in_place(config: Path) -> None:
    new = put(config, licence(Kind.FULL, "beta"), "new.licence")
    assert sbs("licence", "verify", new, "-c", config).returncode == 0
    done = sbs("licence", "verify", "-c", config)
    assert done.returncode == 4
    assert "beta.licence: the licence is missing" in done.stderr


def test_one_that_does_not_count_is_one_line_and_exit_code_4(config: Path) -> None:
    """B40: the line names file, what is wrong, and what to do."""
    path = put(config, licence(Kind.FULL, "alpha"))
    wrong = {"is for the node 'alpha', and this one is 'beta'; ask for one for this node": path}
    for name, text in (("full", "backup"), ("17", "18")):
        changed = config.with_name(f"{name}.licence")
        content = form.sign(licence(Kind.FULL, "beta"), VENDOR)
        changed.write_bytes(content.replace(name.encode(), text.encode(), 1))
    wrong["was changed after it was signed; copy it again"] = changed
    ended = put(config, licence(Kind.FULL, "beta", days_left=0), "ended.licence")
    wrong["ended on"] = ended
    for says, file in wrong.items():
        done = sbs("licence", "verify", file, "-c", config)
        assert done.returncode == 4
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith(f"Error: {file}: the licence ")
        assert says in done.stderr


def test_one_that_has_ended_is_shown(config: Path) -> None:
    put(config, licence(Kind.FULL, "beta", days_left=0))
    done = sbs("licence", "show", "-c", config)
    assert done.returncode == 0
    assert "problem" in done.stdout
    config.with_name("beta.licence").unlink()
    assert sbs("licence", "show", "-c", config).returncode == 4


def test_none_is_needed_by_default(config: Path) -> None:
    config.write_text('[node]\npeer = "127.0.0.1:4446"\n')
    for word in ("show", "verify"):
        done = sbs("licence", word, "-c", config)
        assert done.returncode == 0
        assert 'licence.adapter = "none"' in done.stdout
    assert sbs("licence", "show", "--json", "-c", config).stdout == "null\n"
