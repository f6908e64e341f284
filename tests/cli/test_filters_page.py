"""The tables of the filters page, each row held against ``sbs explain``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from sbs.cli.folders import explain
from tests.core.filter_reference import decide

PAGE = Path(__file__).parents[2] / "docs" / "filters.md"

ROW = re.compile(r"\| (`.*`) \| `(.*)` \| (included|excluded) \| (none|\d+) \|.* \|")


class Row(NamedTuple):
    rules: list[str]
    path: str
    verdict: str
    number: int


def _rows() -> list[Row]:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    rows: list[Row] = []
    for line in lines:
        found = ROW.fullmatch(line)
        assert found is not None, f"not a row of a table: {line}"
        rules = found[1][1:-1].split("` `")
        rows.append(Row(rules, found[2], found[3], int(found[4].replace("none", "0"))))
    return rows


ROWS = _rows()


def test_the_page_has_its_tables() -> None:
    assert len(ROWS) > 50
    assert {row.verdict for row in ROWS} == {"included", "excluded"}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.rules} {row.path}" for row in ROWS])
def test_each_row_is_what_explain_says(tmp_path: Path, row: Row) -> None:
    """R21, B26."""
    config = tmp_path / "sbs.toml"
    config.write_text(
        '[node]\npeer = "127.0.0.1:4446"\nstate_dir = "state"\n'
        f'[[folders]]\nname = "data"\npath = "data"\nfilters = {json.dumps(row.rules)}\n',
        "utf-8",
    )
    path = f"{tmp_path}/data/{row.path}"
    result = CliRunner().invoke(explain, [path, "-c", str(config)])
    assert result.exit_code == 0, result.output
    by = f"rule {row.number} of folder data: {row.rules[row.number - 1]}"
    reason = by if row.number else "no rule of folder data matches"
    assert result.output == f"{row.verdict}: {row.path.removesuffix('/')}: {reason}\n"


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.rules} {row.path}" for row in ROWS])
def test_each_row_is_what_the_reference_says(row: Row) -> None:
    included, number = decide(row.rules, row.path.removesuffix("/"), row.path.endswith("/"))
    assert (included, number) == (row.verdict == "included", row.number)
