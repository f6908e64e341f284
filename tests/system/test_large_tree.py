"""A folder as large and as odd as they come (Must show 7)."""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.system.nodes import Node, Pair
from tests.system.walker import difference

FILES = 20_000
DIRECTORIES = 500
MODES = (0o644, 0o600, 0o755, 0o400, 0o666)
ODD_NAMES = (
    b"with space",
    b"new\nline",
    b"tab\tbell\x07escape\x1b[31m",
    b"not \xff\xfe UTF-8 \x80",
    "Zoë ☃ \N{PILE OF POO}".encode(),
    "Zoe\N{COMBINING DIAERESIS}".encode(),
    b"x" * 255,
    "é".encode() * 127,
    b"-rf",
    b"*",
    b"back\\slash",
    b"C:colon",
    b"trailing. ",
    b".hidden",
    b"$(reboot)`'\"",
)
DEEP = 100
LARGE_BYTES = 1024**3
ISLAND_BYTES = 1024 * 1024
"""The large file is sparse; islands of data stand in it, one of them at its very end."""


def test_large_and_odd_folder(pair: Pair) -> None:
    """R20, R22 (Must show 7): compared byte for byte; a second cycle sends nothing."""
    pair.configure({"sync": {"watch": False, "period_s": 3600}})
    choice = random.Random(7)
    make_many(pair.alpha.folder / "many", choice)
    make_odd(pair.alpha.folder / "odd")
    pair.start()
    _check(pair.alpha, pair.beta)
    before = pair.beta.status()
    assert pair.alpha.sbs("sync").returncode == 0
    after = pair.beta.status()
    assert after["generation"] == before["generation"]
    assert after["last_update"] == before["last_update"]


def test_one_large_file(pair: Pair) -> None:
    """R20 (Must show 7): of 1 GiB; the nodes stay small, and nobody takes the other for dead."""
    pair.configure({"sync": {"watch": False, "period_s": 3600}})
    large = pair.alpha.folder / "large"
    choice = random.Random(8)
    try:
        with large.open("wb") as file:
            for at in (0, 333 * ISLAND_BYTES + 17, LARGE_BYTES - ISLAND_BYTES):
                file.seek(at)
                file.write(choice.randbytes(ISLAND_BYTES))
        pair.start()
        _check(pair.alpha, pair.beta)
        assert max(node.resident_bytes for node in pair.nodes) < LARGE_BYTES / 4
        assert pair.alpha.status()["epoch"] == pair.beta.status()["epoch"] == 1
        generation = pair.beta.status()["generation"]
        assert pair.alpha.sbs("sync").returncode == 0
        assert pair.beta.status()["generation"] == generation
    finally:  # pytest keeps the directories of its last runs
        pair.end()
        for node in pair.nodes:
            (node.folder / "large").unlink(missing_ok=True)


def _check(alpha: Node, beta: Node) -> None:
    beta.wait_logged("applied in")
    found = difference(alpha.folder, beta.folder)
    assert not found, f"{found}\n{beta.log_tail()}"
    for node in (alpha, beta):
        assert node.status()["problems"] == []


def make_many(root: Path, choice: random.Random) -> None:
    """Files of all small sizes, empty ones too, in directories at all depths."""
    directories = [root]
    while len(directories) < DIRECTORIES:
        directories.append(choice.choice(directories[-20:]) / f"directory {len(directories)}")
    for directory in directories:
        directory.mkdir(parents=True)
    for number in range(FILES):
        path = choice.choice(directories) / f"file {number}"
        path.write_bytes(choice.randbytes(choice.choice((0, 1, 100, 100, 4096, 5000))))
        path.chmod(choice.choice(MODES))


def make_odd(root: Path) -> None:
    """Names, links and modes that are rare, and a path near the longest allowed."""
    root.mkdir()
    base = os.fsencode(root)
    for name in ODD_NAMES:
        _write(os.path.join(base, name), name)
        os.mkdir(os.path.join(base, b"d" + name[:254]))
        _write(os.path.join(base, b"d" + name[:254], name), name * 2)
    deep = base
    for level in range(DEEP):
        deep = os.path.join(deep, b"level %d" % level)
        os.mkdir(deep)
    _write(os.path.join(deep, b"bottom"), b"deep")
    for name, target in (
        (b"link", b"with space"),
        (b"dangling", b"/nowhere/\xff"),
        (b"out", b"../../../../etc/passwd"),
        (b"to directory", b"dwith space"),
    ):
        os.symlink(target, os.path.join(base, name))
    for mode in (0o711, 0o070, 0o1777, 0o555):
        path = os.path.join(base, b"mode %o" % mode)
        _write(path, b"mode")
        os.chmod(path, mode)
    shut = os.path.join(base, b"shut")
    os.mkdir(shut)
    _write(os.path.join(shut, b"inside"), b"inside")
    os.chmod(shut, 0o500)


def _write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
