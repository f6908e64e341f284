"""What ``import sbs`` gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sbs
import sbs.config
import sbs.errors
import sbs.runtime.node


@pytest.mark.parametrize("name", sbs.__all__)
def test_every_public_name_can_be_imported_and_is_listed(name: str) -> None:
    assert getattr(sbs, name) is not None
    assert name in dir(sbs)


def test_every_error_is_public() -> None:
    errors = {
        name
        for name, value in vars(sbs.errors).items()
        if isinstance(value, type) and issubclass(value, sbs.errors.SbsError)
    }
    assert errors <= set(sbs.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nodes'"):
        _ = sbs.Nodes  # type: ignore[attr-defined]


def test_a_name_stands_for_the_same_object_as_at_its_place() -> None:
    assert sbs.load_config is sbs.config.load
    assert sbs.Node is sbs.runtime.node.Node


def imported_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after ``statement``."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    return set(done.stdout.split())


def test_the_core_needs_neither_trio_nor_click() -> None:
    loaded = imported_by("import sbs.core.role, sbs.core.connection")
    assert loaded.isdisjoint({"trio", "click", "socket", "sbs.runtime"})


def test_looking_at_a_running_node_imports_nothing_slow() -> None:
    """The command line must start fast: a status asks a socket, it needs no event loop."""
    loaded = imported_by("import sbs.cli, sbs.cli.status, sbs.cli.acting")
    assert loaded.isdisjoint({"trio", "attrs", "cattrs", "msgpack", "blake3", "sbs.config"})
