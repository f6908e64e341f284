from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sbs
from sbs.adapters.services import GROUP, installed, load
from sbs.errors import ConfigError
from sbs.testing.services import open_fake_controller

ADAPTERS = f"""
[{GROUP}]
fake = sbs.testing.services:open_fake_controller
absent = no_such_module_of_sbs:open
nameless = sbs.testing.services:no_such_name
number = sbs.testing.services:GRACE_S
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that announces adapters."""
    info = tmp_path / "adapters-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: adapters\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ADAPTERS)
    monkeypatch.syspath_prepend(tmp_path)


def test_adapters_of_other_packages_are_found_and_loaded() -> None:
    """B30: others plug in through entry points."""
    assert installed()["fake"].value == "sbs.testing.services:open_fake_controller"
    assert load("fake") is open_fake_controller


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("systemt", r"'systemt': installed adapters are: .*absent, .*fake, nameless"),
        ("absent", "no_such_module_of_sbs:open cannot be imported"),
        ("nameless", "no_such_name cannot be imported"),
        ("number", "GRACE_S is not callable"),
    ],
)
def test_adapter_that_cannot_be_had_is_a_configuration_error(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(name)


def test_looking_an_adapter_up_imports_none() -> None:
    script = (
        "import sys, sbs.adapters.services as s; s.installed(); "
        "sys.exit(any(m.startswith('sbs.adapters.services.') for m in sys.modules))"
    )
    root = Path(sbs.__file__).parents[1]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root, timeout=10)
