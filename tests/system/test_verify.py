"""Contents that changed although nothing wrote them, on real processes (B26)."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

from tests.support import wait_until
from tests.system.nodes import Node, Pair

LARGE = bytes(range(256)) * 8192


def flip(path: Path) -> None:
    """Change a byte as a disk does, but for the time of the status change, which nobody can set."""
    before = path.stat()
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def trust(node: Node, name: str) -> None:
    """Make the index of a stopped node take a file for what it was."""
    status = (node.folder / name).stat()
    with sqlite3.connect(node.state_dir / "index.db") as database:
        changed = database.execute(
            "UPDATE digests SET ctime_ns = ?, read_at_ns = ? WHERE name = ?",
            (status.st_ctime_ns, status.st_ctime_ns + 10**9, name.encode()),
        ).rowcount
    database.close()
    assert changed == 1


def verify(node: Node) -> tuple[int, dict[str, Any]]:
    done = node.sbs("verify", "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def fill(node: Node) -> None:
    (node.folder / "small").write_bytes(b"content")
    (node.folder / "large").write_bytes(LARGE)
    (node.folder / "d").mkdir()
    (node.folder / "d" / "f").write_bytes(b"deep")


def test_flipped_bits_on_the_secondary_are_found_and_repaired(pair: Pair) -> None:
    """B26: small and large; the secondary's own index does not hide them."""
    fill(pair.alpha)
    primary, secondary = pair.start()
    secondary.wait_file("d/f", b"deep")
    assert verify(primary) == (
        0,
        {
            "files": 3,
            "bytes": len(LARGE) + 11,
            "skipped": 0,
            "repaired": 0,
            "damaged": 0,
            "paths": [],
        },
    )
    for name in ("small", "large"):
        flip(secondary.folder / name)
    code, found = verify(primary)
    assert (code, found["repaired"], found["damaged"]) == (0, 2, 0)
    assert found["paths"] == [
        f"data/{name}: differed on the secondary; sent again" for name in ("large", "small")
    ]
    secondary.wait_file("small", b"content")
    secondary.wait_file("large", LARGE)
    assert verify(primary)[1]["repaired"] == 0


def test_a_flipped_bit_on_the_primary_is_named_and_not_sent(pair: Pair) -> None:
    """B26: never the other way without being told, nor this way."""
    fill(pair.alpha)
    primary, secondary = pair.start()
    secondary.wait_file("d/f", b"deep")
    secondary.stop_at_once()
    primary.kill()
    flip(primary.folder / "small")
    trust(primary, "small")
    primary.start()
    primary.wait_role("primary")
    secondary.start()
    pair.wait_settled(primary, secondary)
    code, found = verify(primary)
    assert (code, found["damaged"], found["repaired"]) == (1, 1, 0)
    (text,) = found["paths"]
    assert "damaged on the primary" in text
    assert "the secondary's is whole" in text
    assert (secondary.folder / "small").read_bytes() == b"content"
    assert (primary.folder / "small").read_bytes() != b"content"


def test_it_is_refused_where_it_cannot_compare(pair: Pair) -> None:
    """B26: exit code 4, and where to run it."""
    primary, secondary = pair.start()
    refused = secondary.sbs("verify")
    assert refused.returncode == 4
    secondary.stop_at_once()
    wait_until(lambda: primary.sbs("verify").returncode == 4, "no secondary any more")
    done = primary.sbs("verify", "--rate", "-1")
    assert done.returncode == 2
