"""File systems made for one test, on loop devices (as root)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support import require

FOLDING: Final = ("exfat", "ext4")[: 1 + Path("/sys/fs/ext4/features/casefold").exists()]
"""What folds names: a program, which ``.ci/run`` installs; ext4 where the kernel can."""

_IMAGE_BYTES: Final = 64 * 1024 * 1024


@contextmanager
def folding_directory(kind: str, base: Path) -> Iterator[str]:
    """An empty directory in which names of another case are one name."""
    place, image = base / "mount", base / "image"
    place.mkdir()
    match kind:
        case "exfat":
            require(
                "mkfs.exfat", "mount.exfat-fuse", root=True, devices=["/dev/fuse", "/dev/loop0"]
            )
            _make(image, ["mkfs.exfat"])
            with (
                _loop(image) as device,
                _mounted(["mount.exfat-fuse", device], place),
            ):
                yield str(place)
        case _:
            require("mkfs.ext4", "chattr", root=True, devices=["/dev/loop0"])
            _make(image, ["mkfs.ext4", "-q", "-F", "-O", "casefold", "-E", "encoding=utf8"])
            with _mounted(["mount", "-o", "loop", str(image)], place):
                directory = place / "folded"
                directory.mkdir()
                subprocess.run(["chattr", "+F", str(directory)], check=True)
                yield str(directory)


def _make(image: Path, command: list[str]) -> None:
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    subprocess.run([*command, str(image)], check=True, capture_output=True)


@contextmanager
def _loop(image: Path) -> Iterator[str]:
    command = ["losetup", "--find", "--show", str(image)]
    device = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def _mounted(command: list[str], place: Path) -> Iterator[None]:
    subprocess.run([*command, str(place)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)
