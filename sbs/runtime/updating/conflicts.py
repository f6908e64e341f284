"""What both nodes are told of versions that are kept in quarantine (B4)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import attrs

from sbs.core.alarm import Alarm
from sbs.core.messages import Finding, Findings
from sbs.core.printable import plain
from sbs.replication.files.problems import Problem
from sbs.replication.former.kept import QUARANTINE, Kept
from sbs.replication.former.quarantine import Quarantine
from sbs.runtime.alarms import Alarms

MAX_NAMED: Final = 3
"""Files that the alarm names: it is one line. The status lists more."""

_GENERATION: Final = re.compile(re.escape(QUARANTINE) + r"/\d+\.\d+-([0-9]{1,19})(?:\.\d+)?/")


@attrs.frozen(kw_only=True)
class Conflict:
    """A version that an update would have destroyed, and where it is now.

    Args:
        node: whose folder it is kept in.
        folder: its name.
        path: of the file, within the folder, printable.
        kept: where the version is, within the folder, printable.
        generation: number of the one that replaced it; 0 if that is not known.
    """

    node: str
    folder: str
    path: str
    kept: str
    generation: int


class Conflicts:
    """The kept versions of this node and of its follower; raises the alarm while there are any.

    Args:
        name: of this node.
        quarantine: of this node.
        alarms: told.
    """

    def __init__(self, name: str, quarantine: Quarantine, alarms: Alarms) -> None:
        self._name = name
        self._quarantine = quarantine
        self._alarms = alarms
        self._told: tuple[Conflict, ...] = ()
        self._untold = 0
        self.problems: tuple[Problem, ...] = ()
        """What the follower could not put in place."""

    @property
    def listed(self) -> tuple[Conflict, ...]:
        """All that are known, this node's first."""
        return self._own + self._told

    @property
    def _own(self) -> tuple[Conflict, ...]:
        return tuple(_own(self._name, kept) for kept in self._quarantine.standing)

    def take(self, peer: str, findings: Findings) -> None:
        """What the follower found.

        Args:
            peer: its name.
            findings: replace what it told before.
        """
        self._told = tuple(_told(peer, each) for each in findings.findings if each.kept)
        # What is kept comes last: if there is none of it, the rest is of the other kind.
        untold = findings.total - len(findings.findings)
        self._untold = untold if self._told else 0
        self.problems = tuple(
            Problem.of(each.folder, each.path, f"on {peer}: {each.text}", note=each.note)
            for each in findings.findings
            if not each.kept
        )
        if untold > 0 and not self._told:
            self.problems += (Problem(path=plain(peer), text=f"and {untold} more"),)
        self.review()

    def forget_problems(self) -> None:
        """The session with the follower is over."""
        self.problems = ()

    def forget_told(self) -> None:
        """The other node is no follower now."""
        self._told, self._untold, self.problems = (), 0, ()
        self.review()

    def review(self) -> None:
        """Raise the alarm, or clear it."""
        texts = [
            _text(conflicts, untold)
            for conflicts, untold in ((self._own, 0), (self._told, self._untold))
            if conflicts
        ]
        self._alarms.tell(Alarm.QUARANTINE, texts)


def _text(conflicts: Sequence[Conflict], untold: int) -> str:
    count = len(conflicts) + untold
    named = ", ".join(
        f"{each.folder}/{each.path} -> {each.folder}/{each.kept}" for each in conflicts[:MAX_NAMED]
    )
    further = f" and {count - MAX_NAMED} more" if count > MAX_NAMED else ""
    files = "1 file" if count == 1 else f"{count} files"
    return (
        f"{files} of {conflicts[0].node} differed from what both nodes had, and would have been"
        f" lost; kept: {named}{further}; compare, copy back what is needed, then remove it"
    )


def _own(node: str, kept: Kept) -> Conflict:
    return Conflict(
        node=node,
        folder=kept.folder,
        path=plain(kept.path),
        kept=plain(kept.kept),
        generation=kept.generation,
    )


def _told(node: str, finding: Finding) -> Conflict:
    found = _GENERATION.match(finding.kept)
    return Conflict(
        node=plain(node),
        folder=plain(finding.folder),
        path=plain(finding.path),
        kept=plain(finding.kept),
        generation=0 if found is None else int(found[1]),
    )
