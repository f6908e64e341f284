"""How far long work is, for people (B61)."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from gettext import gettext as _
from gettext import ngettext
from typing import Any, Final

import click

from sbs.cli.options import find_state_dir
from sbs.errors import SbsError
from sbs.runtime.operating import client

INTERVAL_S: Final = 0.25
"""Between two looks: what moves more often cannot be read."""

STEPS: Final = 1000
"""Of a bar from its beginning to its end."""

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")

Progress = Mapping[str, Any]
"""The form of :class:`sbs.core.progress.Progress`."""


def words(found: Progress) -> str:
    """Counts, speed and remaining time, as far as they are known."""
    return ", ".join(_parts(found))


def _parts(found: Progress) -> Iterator[str]:
    files, total = found["files"], found["files_total"]
    if total is not None:
        yield _("{done} of {total} files").format(done=files, total=total)
    elif files:
        yield ngettext("{count} file", "{count} files", files).format(count=files)
    size, total = found["bytes"], found["bytes_total"]
    if total:
        yield _("{done} of {total}").format(done=amount(size), total=amount(total))
    elif size:
        yield amount(size)
    if found["bytes_s"]:
        yield f"{amount(found['bytes_s'])}/s"
    if found["remaining_s"] is not None:
        yield _("{time} left").format(time=_time(found["remaining_s"]))


def amount(size_bytes: float) -> str:
    """A number of bytes in the unit that people would choose."""
    if size_bytes < 1024:
        return _("{count:.0f} bytes").format(count=size_bytes)
    for unit in _UNITS:
        size_bytes /= 1024
        if size_bytes < 1024:
            return f"{size_bytes:.1f} {unit}"
    return f"{size_bytes:.1f} {_UNITS[-1]}"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def shown(config_path: str) -> Generator[None]:
    """While the block asks a node to do something long: a bar, if stderr is a terminal.

    Args:
        config_path: of the node.
    """
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    # The block is in the main thread, where Ctrl-C ends it; this one ends with the program.
    thread = threading.Thread(target=_draw, args=(config_path, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(INTERVAL_S)


def _draw(config_path: str, done: threading.Event) -> None:
    with suppress(SbsError):  # the block is told the same, and says so
        state_dir = find_state_dir(config_path)
        found: Progress | None = None
        while not done.wait(INTERVAL_S):
            if found is None:
                found = _look(state_dir)
            if found is not None:
                found = _draw_phase(state_dir, found, done)


def _draw_phase(state_dir: str, found: Progress, done: threading.Event) -> Progress | None:
    """Draw one phase to its end.

    Returns:
        the beginning of the next one, if it has begun.
    """
    phase, share = found["phase"], _share(found)
    with click.progressbar(
        itertools.repeat(""),
        length=None if share is None else STEPS,
        label=_(phase),
        file=sys.stderr,
        show_eta=False,  # the node knows it better
        show_percent=share is not None,
        item_show_func=lambda text: text,
        width=20,
        update_min_steps=0,  # the words change as well
    ) as bar:
        now: Progress | None = found
        while now is not None and now["phase"] == phase:
            reached = _share(now)
            step = 1 if reached is None else round(STEPS * reached) - bar.pos
            bar.update(max(0, step), words(now))
            if done.wait(INTERVAL_S):
                return None
            now = _look(state_dir)
        if share is not None:
            bar.update(STEPS - bar.pos)
    return now


def _look(state_dir: str) -> Progress | None:
    found: Mapping[str, Any] = client.ask(state_dir, "status")
    return found.get("progress")  # the node may be of an older release than this command


def _share(found: Progress) -> float | None:
    """How much of the phase is done, 0 to 1; ``None`` if nobody knows."""
    done, total = found["bytes"], found["bytes_total"]
    if not total:
        done, total = found["files"], found["files_total"]
    return min(1.0, done / total) if total else None
