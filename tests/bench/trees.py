"""Deterministic contents: the same bytes in every run, on every machine."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from blake3 import blake3

from sbs.core.manifest import STAGING_NAME

PIECE_BYTES: Final = 16 * 1024 * 1024

PER_DIRECTORY: Final = 100
"""Files of a directory, and directories of one above them."""

KINDS: Final = 10
"""Of compressible files: five of ten are like access logs, two like JSON, two like prose, and
one is incompressible."""


def many(at: Path, files: int, size_bytes: int) -> list[Path]:
    """Incompressible files of one size, a hundred in each directory."""
    content = blake3(b"many")
    made: list[Path] = []
    for number in range(-(-files // PER_DIRECTORY)):
        directory = at / f"d{number // PER_DIRECTORY:02d}" / f"s{number % PER_DIRECTORY:02d}"
        directory.mkdir(parents=True)
        here = min(PER_DIRECTORY, files - len(made))
        blob = content.digest(here * size_bytes, seek=len(made) * size_bytes)
        for each in range(here):
            path = directory / f"f{each:04d}.dat"
            write(path, blob[each * size_bytes : (each + 1) * size_bytes])
            made.append(path)
    return made


def large(at: Path, size_bytes: int) -> Path:
    """One incompressible file."""
    path = at / "big.bin"
    content = blake3(b"large")
    with path.open("wb", buffering=0) as file:
        for position in range(0, size_bytes, PIECE_BYTES):
            count = min(PIECE_BYTES, size_bytes - position)
            file.write(content.digest(count, seek=position))
    return path


def compressible(at: Path, files: int, size_bytes: int) -> None:
    """Files of one size, most of them compressible, a hundred in each directory."""
    chance = random.Random(6)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 10))) for _ in range(5000)]
    for number in range(files):
        directory = at / f"g{number // PER_DIRECTORY:02d}"
        directory.mkdir(exist_ok=True)
        if number % KINDS == KINDS - 1:
            content = blake3(b"compressible").digest(size_bytes, seek=number * size_bytes)
        else:
            content = _text(number % KINDS, chance, words, size_bytes)
        write(directory / f"t{number:04d}.log", content)


def _text(kind: int, chance: random.Random, words: Sequence[str], size_bytes: int) -> bytes:
    lines: list[str] = []
    length = 0
    for line in _lines(kind, chance, words):
        lines.append(line)
        length += len(line)
        if length >= size_bytes:
            break
    return "".join(lines).encode()[:size_bytes]


def _lines(kind: int, chance: random.Random, words: Sequence[str]) -> Iterator[str]:
    at = 1_700_000_000
    while True:
        at += chance.randint(0, 3)
        one, two = chance.choices(words, k=2)
        number = chance.randint(1, 999_999)
        if kind < 5:
            yield f'10.1.{number % 7}.9 - - [{at}] "GET /{one}/{two}?id={number} HTTP/1.1" 200\n'
        elif kind < 7:
            yield f'{{"ts":{at},"user":"{one}","value":{number},"tags":["{two}"]}}\n'
        else:
            yield " ".join(chance.choices(words, k=14)) + ".\n"


def flip(path: Path, number: int) -> None:
    """Change one byte in the middle of a file, another one for each number.

    Its time is a second later each time: rsync does not see a change within one.
    """
    before = path.stat()
    with path.open("r+b", buffering=0) as file:
        middle = before.st_size // 2 + number
        file.seek(middle)
        (byte,) = file.read(1)
        file.seek(middle)
        file.write(bytes([byte ^ 0xFF]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))


def rewrite(paths: Sequence[Path], count: int, seed: int) -> None:
    """Give ``count`` of these files other content of the same size."""
    chance = random.Random(seed)
    for path in chance.sample(paths, count):
        write(path, chance.randbytes(path.stat().st_size))


def write(path: Path, content: bytes) -> None:
    """Write a file in one call."""
    with path.open("wb", buffering=0) as file:
        file.write(content)


def census(at: Path) -> tuple[int, int]:
    """How many files lie there, and how many bytes they have together."""
    files = size_bytes = 0
    pending = [str(at)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != STAGING_NAME:
                        pending.append(entry.path)
                else:
                    files += 1
                    size_bytes += entry.stat(follow_symlinks=False).st_size
    return files, size_bytes


def move(here: Path, there: Path) -> None:
    """Rename what is in one directory into another, but for what is SBS's own."""
    for path in here.iterdir():
        if path.name != STAGING_NAME:
            path.rename(there / path.name)
