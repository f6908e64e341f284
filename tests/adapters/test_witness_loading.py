from __future__ import annotations

from pathlib import Path

import pytest

from sbs.adapters.witnesses import GROUP, folder, installed, load
from sbs.errors import ConfigError
from sbs.testing.witnesses import MemoryWitness

ADAPTERS = f"""
[{GROUP}]
memory = sbs.testing.witnesses:MemoryWitness
consul = no_such_module_of_sbs:open_witness
stray = no_such_module_of_sbs:open_witness
"""

METADATA = """\
Metadata-Version: 2.1
Name: more-witnesses
Version: 1.0
Provides-Extra: consul
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that announces witnesses."""
    info = tmp_path / "more_witnesses-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ADAPTERS)
    monkeypatch.syspath_prepend(tmp_path)


def test_witnesses_of_other_packages_stand_beside_ours() -> None:
    """B3"""
    assert {"etcd", "folder", "memory"} <= set(installed())
    assert load("folder") is folder.open_witness
    assert load("memory") is MemoryWitness  # type: ignore[comparison-overlap]


def test_what_is_missing_can_be_installed_by_the_name_that_the_error_tells() -> None:
    with pytest.raises(
        ConfigError, match=r"cannot be imported: .*; install more-witnesses\[consul"
    ):
        load("consul")


def test_a_witness_that_cannot_be_had_is_a_configuration_error() -> None:
    with pytest.raises(
        ConfigError, match=r"witness.adapter = 'etc': installed adapters are: consul"
    ):
        load("etc")
    with pytest.raises(ConfigError, match=r"witness.adapter = 'stray': .*_sbs'$"):
        load("stray")
