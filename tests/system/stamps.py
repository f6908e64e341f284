"""Trees whose every content names its generation, so that a mixture shows itself."""

from __future__ import annotations

import random
from pathlib import Path

SMALL_FILES = 300
LARGE_FILES = 3
LARGE_BYTES = 6 * 1024 * 1024


def write_generation(folder: Path, generation: int) -> None:
    """Replace the tree by that of a generation.

    Small files travel packed, large ones as streams; some names exist only in even or odd
    generations, so that with ``strict_delete`` each update creates and removes.
    """
    stamp = f"generation {generation:06d}\n".encode()
    choice = random.Random(generation)
    for number in range(SMALL_FILES):
        directory = folder / f"d{number % 10}"
        directory.mkdir(exist_ok=True)
        (directory / f"f{number}").write_bytes(stamp * choice.randint(1, 400))
    for number in range(LARGE_FILES):
        (folder / f"large{number}").write_bytes(stamp * (LARGE_BYTES // len(stamp)))
    for number in range(20):
        (folder / f"{generation % 2}-only-{number}").write_bytes(stamp)
        (folder / f"{1 - generation % 2}-only-{number}").unlink(missing_ok=True)


def generations_in(folder: Path) -> set[int]:
    """The generations that the contents and names of a tree belong to: one, unless it is mixed.

    Raises:
        ValueError: a file is torn, or there are too few or too many.
    """
    found: set[int] = set()
    count = 0
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.is_relative_to(folder / ".sbs.staging"):
            continue
        count += 1
        content = path.read_bytes()
        stamp = content[:18]
        if content != stamp * (len(content) // 18) or not stamp.startswith(b"generation "):
            raise ValueError(f"{path} is torn")
        generation = int(stamp[11:17])
        if "-only-" in path.name and not path.name.startswith(f"{generation % 2}-"):
            raise ValueError(f"{path} is not of generation {generation}")
        found.add(generation)
    if count != SMALL_FILES + LARGE_FILES + 20:
        raise ValueError(f"{count} files in {folder}")
    return found
