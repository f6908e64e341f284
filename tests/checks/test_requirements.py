"""What CI installs is pinned, and is what ``pyproject.toml`` asks for."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.checks.audit import NOTHING, verdict

ROOT = Path(__file__).parents[2]
PINNED = ROOT / "requirements-dev.txt"
RENEW = (
    "uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url "
    "--extra dev pyproject.toml -o requirements-dev.txt"
)

BY_DATE = {"attrs", "cattrs"}
"""Their versions are dates."""

MENDS = {"cryptography"}
"""A bound would keep mended releases of OpenSSL away: a new major version every few months."""


def project() -> dict[str, Any]:
    with open(ROOT / "pyproject.toml", "rb") as file:
        found: dict[str, Any] = tomllib.load(file)["project"]
    return found


def wanted() -> list[Requirement]:
    own = project()
    return [Requirement(text) for text in own["dependencies"] + own["optional-dependencies"]["dev"]]


def pins() -> list[tuple[Requirement, list[str]]]:
    """Each pin with its hashes; comments are left out."""
    lines = [line for line in PINNED.read_text().splitlines() if not line.lstrip().startswith("#")]
    found = []
    for entry in "\n".join(lines).replace("\\\n", " ").splitlines():
        text, *hashes = entry.split("--hash=")
        found.append((Requirement(text), [each.strip() for each in hashes]))
    return found


def _applies(pin: Requirement) -> bool:
    return pin.marker is None or pin.marker.evaluate()


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_what_is_wanted_is_pinned_within_its_range(requirement: Requirement) -> None:
    """B62: if this fails, run the command that stands at the top of the file, and commit it."""
    found = [
        pin
        for pin, _ in pins()
        if canonicalize_name(pin.name) == canonicalize_name(requirement.name)
    ]
    assert found
    for pin in found:  # one for each range of Python versions
        (version,) = pin.specifier
        assert requirement.specifier.contains(version.version)


def test_each_pin_is_one_version_with_its_hashes() -> None:
    """B62; a newer one only where the Python is newer, too."""
    names = [(canonicalize_name(pin.name), str(pin.marker)) for pin, _ in pins()]
    assert len(names) == len(set(names)) > len(wanted())
    here = [name for (name, _), (pin, _) in zip(names, pins(), strict=True) if _applies(pin)]
    assert len(here) == len(set(here))
    for pin, hashes in pins():
        (version,) = pin.specifier
        assert version.operator == "==", pin
        assert hashes, pin
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", each) for each in hashes), pin


def test_the_file_says_neither_where_from_nor_where_it_was_made() -> None:
    """B62: no address of an index, and no path: each machine has its own."""
    text = PINNED.read_text()
    assert not re.search(r"://|\bfile:|^-|@|(^|\s)/|index-url(?! --extra dev )", text, re.MULTILINE)
    assert RENEW in text
    assert RENEW in (ROOT / "docs" / "testing.md").read_text()


def test_the_ranges_end_before_the_next_major_version() -> None:
    """B62; those without an end, and why, are in docs/architecture.md."""
    for requirement in map(Requirement, project()["dependencies"]):
        ends = {each.operator for each in requirement.specifier}
        free = requirement.name in BY_DATE | MENDS
        assert ends == ({">="} if free else {">=", "<"}), requirement


def audited(**dependencies: Any) -> str:
    found = [{"name": name, **each} for name, each in dependencies.items()]
    return json.dumps({"dependencies": found, "fixes": []})


SOUND = {"version": "1.0", "vulns": []}
BROKEN = {"version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]}
SKIPPED = {"skip_reason": "not found"}


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        (audited(a=SOUND, b=SOUND), 0, "no vulnerability is known of 2 dependencies"),
        (audited(a=SOUND, b=BROKEN), 1, "b 2.0: PYSEC-1, mended in 2.1"),
        (audited(a=SOUND, b=SKIPPED), 1, "b: not audited: not found"),
        (audited(a=SKIPPED, b=SKIPPED), 0, NOTHING),
        ("", 0, NOTHING),
    ],
)
def test_an_audit_that_found_nobody_to_ask_is_no_pass(report: str, code: int, said: str) -> None:
    """B62: pip-audit itself ends with 0 when it skipped everything."""
    assert verdict(report) == (code, [said])
