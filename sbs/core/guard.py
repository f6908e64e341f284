"""The guard: which updates are not sent before somebody has looked at them (B22).

Only files and links that an update would delete are its business: a directory holds no content
of its own, what is overwritten has a successor, and what was renamed is still there. Where nothing
would be deleted nothing is held.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from sbs.core.manifest import Action, Entry, Kind, Manifest, Operation
from sbs.core.plan import Step

DEFAULT_LIMIT: Final = "50%"
"""Of the files that stand on the follower: what is worked with is rarely deleted by halves."""

MAX_DELETES: Final = 2**31 - 1
"""Largest count of a limit: more files than a folder can have in practice."""

ID_DIGITS: Final = 12
"""Hexadecimal digits of an id: few enough to be typed, too many to be met by chance."""

_SHARE: Final = re.compile(r"([0-9]{1,3})%")
_COUNT: Final = re.compile(r"[0-9]{1,10}")


@attrs.frozen(kw_only=True)
class Limit:
    """How many deletes pass unasked: a count, a share in percent, or, with neither, any number."""

    count: int | None = None
    percent: int | None = None

    @classmethod
    def parse(cls, value: str | int) -> Limit:
        """Read a limit: ``20``, ``"20"``, ``"50%"`` or ``"off"``.

        Raises:
            ValueError: it is none.
        """
        if value == "off":
            return cls()
        if isinstance(value, str) and (share := _SHARE.fullmatch(value)):
            if int(share[1]) <= 100:
                return cls(percent=int(share[1]))
        elif isinstance(value, int) or _COUNT.fullmatch(value):
            count = int(value)
            if 0 <= count <= MAX_DELETES:
                return cls(count=count)
        raise ValueError(
            f'a limit of deletes is "off", a share from "0%" to "100%", or a count, not {value!r}'
        )

    @property
    def off(self) -> bool:
        """Whether any number passes."""
        return self.count is None and self.percent is None

    def exceeded(self, deletes: int, standing: int) -> bool:
        """Whether so many deletes are too many.

        Args:
            deletes: of files and links.
            standing: files and links on the follower.
        """
        if self.count is not None:
            return deletes > self.count
        return self.percent is not None and 100 * deletes > self.percent * standing

    def __str__(self) -> str:
        if self.count is not None:
            return str(self.count)
        return "off" if self.percent is None else f"{self.percent}%"


@attrs.frozen
class Basis:
    """What an update of a folder rests on: where the leader's folder lies, and what counts in it.

    Args:
        root: tells its root directory from others; compared, and not looked into.
        filters: of the folder.
    """

    root: str
    filters: tuple[str, ...]


class Cause(enum.StrEnum):
    """Why an update is held."""

    TOO_MANY = "too-many-deletes"
    EMPTIED = "emptied"
    OTHER_ROOT = "other-root"
    OTHER_FILTERS = "other-filters"


@attrs.frozen
class Reason:
    """Why an update is held, in one folder; ``text`` is for people."""

    folder: str
    cause: Cause
    text: str


@attrs.frozen(kw_only=True)
class Held:
    """An update that nobody has accepted yet.

    Args:
        id: the same for as long as the same files would be deleted for the same causes.
        deletes: files and links that would be deleted, in all folders.
        reasons: one or more.
    """

    id: str
    deletes: int
    reasons: tuple[Reason, ...]

    @property
    def text(self) -> str:
        """What it is, and what to do."""
        reasons = "; ".join(f"folder {each.folder!r}: {each.text}" for each in self.reasons)
        return (
            f"update {self.id} is held, and nothing of it is sent: {reasons}. To see what it is: "
            f"sbs diff. If it is meant: sbs sync --accept {self.id}. If not: the "
            "secondary still has all of it; copy it back from its folder"
        )


@attrs.frozen(kw_only=True)
class Prospect:
    """What an update would do to one folder.

    Args:
        name: of the folder.
        deletes: the follower's files and links that it deletes, by path, but for those that only
            went elsewhere.
        standing: how many files and links the follower has.
        emptied: the leader has none.
        basis: of this update.
        before: of the last one that the follower holds; ``None`` if that is not known.
    """

    name: str
    deletes: tuple[str, ...] = ()
    standing: int = 0
    emptied: bool = False
    basis: Basis
    before: Basis | None = None

    @property
    def rebased(self) -> bool:
        """Whether it does not rest on what the last update did, as far as is known."""
        return self.basis != self.before

    def reasons(self, limit: Limit) -> Iterator[Reason]:
        """Why the update should be looked at first."""
        if not self.deletes:
            return
        gone = f"{len(self.deletes)} of {self.standing} files on the secondary would be deleted"
        if limit.exceeded(len(self.deletes), self.standing):
            yield self._reason(Cause.TOO_MANY, f"{gone}, sync.max_deletes is {limit}")
        if self.emptied and not limit.off:
            yield self._reason(Cause.EMPTIED, f"no file is left on the primary, {gone}")
        if self.before is None:
            return
        if self.before.root != self.basis.root:
            yield self._reason(
                Cause.OTHER_ROOT,
                "at its path on the primary lies another directory or file system than at the "
                f"last update (is a disk not mounted?), {gone}",
            )
        if self.before.filters != self.basis.filters:
            yield self._reason(
                Cause.OTHER_FILTERS, f"its filters are not those of the last update, {gone}"
            )

    def _reason(self, cause: Cause, text: str) -> Reason:
        return Reason(self.name, cause, text)


def judge(prospects: Sequence[Prospect], limit: Limit) -> Held | None:
    """Decide on a whole update.

    Args:
        prospects: of all its folders.
        limit: of deletes, in each.

    Returns:
        why it must not be sent, or ``None``: it may.
    """
    reasons = tuple(reason for each in prospects for reason in each.reasons(limit))
    if not reasons:
        return None
    deletes = sorted((each.name, path) for each in prospects for path in each.deletes)
    return Held(id=_id(deletes, reasons), deletes=len(deletes), reasons=reasons)


def _id(deletes: Iterable[tuple[str, str]], reasons: Iterable[Reason]) -> str:
    digest = hashlib.sha256()
    for name, path in deletes:  # no name and no path holds a NUL, and none is empty
        digest.update(f"{name}\0{path}\0".encode("utf-8", "surrogateescape"))
    for name, cause in sorted((reason.folder, reason.cause) for reason in reasons):
        digest.update(f"{name}\0\0{cause}\0".encode())
    return digest.hexdigest()[:ID_DIGITS]


def deleted_contents(steps: Iterable[Step], target: Manifest) -> Iterator[str]:
    """The files and links that steps delete, or may: some only make room for a file.

    Args:
        steps: of a plan.
        target: the follower's entries for which it was made.
    """
    for step in steps:
        if not isinstance(step, Operation):
            deletes = step.clears
        elif step.action is Action.DELETE:
            deletes = (step,)
        else:
            continue
        for delete in deletes:
            if (entry := target.get(delete.path)) is not None and has_content(entry):
                yield delete.path


def has_content(entry: Entry) -> bool:
    """Whether something is lost with an entry."""
    return entry.kind is not Kind.DIRECTORY
