"""Follows docs/tutorial.md word by word, as a person does who has three terminals and types.

It knows how such a page is to be read (:mod:`tests.docs.steps`, :mod:`tests.docs.shown`), and
nothing of what this one says. By hand, from the root of the sources::

    python -m tests.docs.tutorial
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Final

from tests.docs.shell import PROMPTS, Shell
from tests.docs.shown import REST, Names, answer
from tests.docs.steps import SHOWN, Step, steps
from tests.marked import Mark

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "tutorial.md"

TEN_MINUTES_S: Final = 600.0
"""For the whole page: so it says."""

PATIENCE_S: Final = 120.0
"""For one block: an installation over a slow network takes longest."""

THOUGHTFUL_S: Final = 0.3
"""A program that says nothing more for so long, in the middle of a line, waits for an answer."""

KILLED: Final = "Killed"
"""What a shell says of a command that was killed: where the page shows that, it is no failure."""


class StepError(AssertionError):
    """The page says something else than what happens."""


class Follower:
    """Types and compares.

    Args:
        home: an empty directory, the reader's home.
        environment: of all shells.
        say: told all that is typed and seen.
        limit_s: how long the page may take.
    """

    def __init__(
        self,
        home: Path,
        environment: dict[str, str],
        say: Callable[[str], None],
        limit_s: float = TEN_MINUTES_S,
    ) -> None:
        self._home = home
        self._environment = environment
        self._say = say
        self._limit_s = limit_s
        self._late_at = time.monotonic() + limit_s
        self._names = Names(str(home))
        self._shells: dict[int, Shell] = {}
        self._unwatched: set[int] = set()
        """Terminals from which the page looked away while a command ran, which may say more."""

    def follow(self, page: Sequence[Step]) -> None:
        """Do what a page says.

        Raises:
            StepError: something else happens, or it takes too long.
        """
        for step, following in zip_longest(page, page[1:]):
            if step.language == SHOWN:
                self._compare(step)
            else:
                self._type(step)
                shown = following is not None and following.language == SHOWN
                if not (shown and following.terminal == step.terminal):
                    self._await_end(step, step.terminal)
            if following is not None and following.terminal != step.terminal:
                self._unwatched.add(step.terminal)
        for number in self._shells:
            self._await_end(page[-1], number)

    def end(self) -> None:
        """Close all terminals."""
        for shell in self._shells.values():
            shell.end()

    def _shell(self, number: int) -> Shell:
        if number not in self._shells:
            self._shells[number] = Shell(self._environment, str(self._home))
        return self._shells[number]

    def _type(self, step: Step) -> None:
        shell = self._shell(step.terminal)
        self._await_end(step, step.terminal)
        for line in map(self._names.typed, step.lines):
            self._wait(step, shell, lambda: shell.ready, f"it can be typed: {line}")
            self._say(f"[{step.terminal}] $ {line}")
            shell.type(line)
        self._unwatched.discard(step.terminal)

    def _await_end(self, step: Step, number: int) -> None:
        """Wait for a shell, and see that all was well that the page does not show."""
        shell = self._shell(number)
        self._wait(step, shell, lambda: shell.ready, f"what runs in terminal {number} ends")
        if shell.shown.strip() and number not in self._unwatched:
            raise _error(step, shell, "this is not on the page")
        self._judge(step, shell)
        shell.forget(shell.shown.count("\n"))

    def _judge(self, step: Step, shell: Shell) -> None:
        if shell.code and not (step.language == SHOWN and step.lines[-1].startswith(KILLED)):
            raise _error(step, shell, f"a command failed, with exit code {shell.code}")
        shell.code = 0

    def _compare(self, step: Step) -> None:
        shell = self._shell(step.terminal)
        pattern = self._names.pattern(step.lines)

        def found() -> re.Match[str] | None:
            return (pattern.fullmatch if shell.ready else pattern.match)(shell.shown)

        def decided() -> bool:
            if found() or shell.ready:
                return True
            self._answer(step, shell)
            return False

        expected = "\n  ".join(("on the page stands:", *step.lines, "and here"))
        self._wait(step, shell, decided, expected)
        late_at = time.monotonic() + THOUGHTFUL_S
        while not shell.ready and time.monotonic() < late_at:
            self._look()  # a command that is about to end may have more to say than is on the page
        seen = found()
        if seen is None:
            raise _error(step, shell, expected)
        try:
            self._names.learn(step.lines, seen)
        except ValueError as error:
            raise _error(step, shell, str(error)) from error
        for line in seen[0].splitlines():
            self._say(f"[{step.terminal}] {line}")
        shell.forget(seen[0].count("\n"))
        if step.lines[-1] == REST:
            self._unwatched.add(step.terminal)
        if shell.ready:
            self._judge(step, shell)

    def _answer(self, step: Step, shell: Shell) -> None:
        if shell.ready or time.monotonic() < shell.quiet_since + THOUGHTFUL_S:
            return
        line = answer(self._names, step.lines, shell.shown)
        if line is not None:
            shell.type(self._names.typed(line))

    def _wait(self, step: Step, shell: Shell, holds: Callable[[], bool], what: str) -> None:
        impatient_at = time.monotonic() + PATIENCE_S
        while not holds():
            now = time.monotonic()
            if now > self._late_at:
                raise _error(step, shell, f"the page took over {self._limit_s:g} s")
            if now > impatient_at:
                raise _error(step, shell, f"not within {PATIENCE_S:g} s: {what}")
            self._look()

    def _look(self) -> None:
        """Let every terminal say what it has to: one that nobody reads holds its programs up."""
        by_descriptor = {shell.master: shell for shell in self._shells.values()}
        for descriptor in select.select(list(by_descriptor), (), (), 0.05)[0]:
            by_descriptor[descriptor].read()


def _error(step: Step, shell: Shell, what: str) -> StepError:
    shown = "\n  ".join(shell.shown.splitlines()) or "nothing"
    return StepError(f"line {step.line}, terminal {step.terminal}: {what}:\n  {shown}")


def clean_environment(home: Path, mark: Mark) -> dict[str, str]:
    """What a shell is given: where programs and the home are, a language, and what pip needs.

    The Python of these tests comes first on PATH, without their virtual environment. What tells pip
    where packages come from stays: its variables, those of the network, and the account's file.
    """
    pip = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
    nets = {key: os.environ[key] for key in _NET_KEYS if key in os.environ}
    own = Path.home() / ".config" / "pip" / "pip.conf"
    if own.exists():
        pip.setdefault("PIP_CONFIG_FILE", str(own))
    return {
        **pip,
        **nets,
        **PROMPTS,
        **mark.variables,
        "HOME": str(home),
        "PATH": f"{sys.base_prefix}/bin:{os.defpath}",
        "LANG": "de_DE.UTF-8",  # as the first readers have it
        "LANGUAGE": "de",
        "TERM": "xterm",
    }


_NET_KEYS: Final = tuple(
    made
    for key in ("http_proxy", "https_proxy", "no_proxy", "ssl_cert_file")
    for made in (key, key.upper())
)
"""By which pip reaches an index."""


@contextmanager
def _alone() -> Iterator[None]:
    """The addresses of the page are those of every run on this machine: one at a time."""
    with open(Path(tempfile.gettempdir()) / "sbs-tutorial.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def follow(
    page: str, home: Path, say: Callable[[str], None], limit_s: float = TEN_MINUTES_S
) -> None:
    """Follow a page; whatever happens, no process of it is left.

    Args:
        page: its text.
        home: an empty directory for the reader; the sources of SBS are then in ``sbs`` there.
        say: told all that is typed and seen.
        limit_s: how long it may take.

    Raises:
        StepError: something else happens than it says, it takes too long, or it leaves something.
    """
    (home / "sbs").symlink_to(ROOT)
    mark = Mark("SBS_TUTORIAL_TEST")
    with _alone():
        follower = Follower(home, clean_environment(home, mark), say, limit_s)
        try:
            try:
                follower.follow(tuple(steps(page)))
            finally:
                follower.end()
            left = [*mark.processes().values(), *_visible(home)]
            if left:
                raise StepError(f"at the end of the page this is left: {', '.join(left)}")
        finally:
            mark.kill_left()


def _visible(home: Path) -> list[str]:
    return [each.name for each in home.iterdir() if each.name[0] != "." and each.name != "sbs"]


def main() -> None:
    """Follow the tutorial, and print what happens."""
    with tempfile.TemporaryDirectory() as home:
        began_at = time.monotonic()
        follow(PAGE.read_text("utf-8"), Path(home), print)
        print(f"followed to its end, in {time.monotonic() - began_at:.1f} s")  # noqa: T201


if __name__ == "__main__":
    main()
