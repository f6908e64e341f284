"""Texts of a peer on their way to people: log, alarms, status, mail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sbs.core.messages import (
    MAX_TEXT,
    Abandon,
    AskRole,
    Code,
    Committed,
    Failed,
    Finding,
    Findings,
    Message,
    Refused,
)
from tests.hostile.case import CLOSED, LEAVES, QUIET, Case, Sends, said
from tests.hostile.forge import forged
from tests.hostile.peer import Peer, put
from tests.hostile.stages import BEGUN, CURRENT, FOLLOWING, IN_STEP, PROPOSED, UPDATED

EVIL: Final = (
    "\x1b]0;owned\x07\x1b[2J\r\nWARNING  forged\u202e\x9b1m\0`reboot`$(reboot)<script>%s{0}"
)
"""What terminals, logs, shells, pages and formats obey."""

LONG: Final = (EVIL * MAX_TEXT)[:MAX_TEXT]


def _found(*findings: Finding, total: int | None = None) -> Findings:
    return Findings(findings=findings, total=len(findings) if total is None else total)


EVIL_FINDING: Final = Finding(folder=EVIL[:64], path=EVIL, text=LONG)
EVIL_KEPT: Final = Finding(folder="settings", path=EVIL, kept=f".sbs.staging/quarantine/{EVIL}")


def _verdict(*findings: Finding, total: int | None = None) -> Sends:
    """A generation is held, and this was found."""

    def sends(peer: Peer) -> Sequence[Message]:
        return [Committed(peer.proposed), _found(*findings, total=total)]

    return sends


def _with_active(*active: str) -> Sends:
    """A generation after which these services would start."""

    def sends(peer: Peer) -> Sequence[Message]:
        begin, pack, _ = peer.generation(put("x"))
        return [begin, pack, peer.commit((put("x")[0],), *active)]

    return sends


def _wants(*active: str) -> Sends:
    return lambda peer: [forged(peer.commit(()), active=list(active))]


CASES: Final = (
    *(
        Case(
            name=f"a secondary refuses {what} with a text that a terminal obeys",
            seen="A10",
            at=stage,
            sends=said(Refused(Code.BUSY, LONG)),
            answer=CLOSED,
        )
        for what, stage in (
            ("its listing", FOLLOWING),
            ("to go on", IN_STEP),
            ("a verdict", PROPOSED),
        )
    ),
    Case(
        name="a primary refuses to go on with a text that a terminal obeys",
        seen="A10",
        at=CURRENT,
        sends=said(Refused(Code.BUSY, LONG)),
        answer=CLOSED,
    ),
    *(
        Case(
            name=f"a secondary says that it failed {what} with a text that a terminal obeys",
            seen="A10",
            at=stage,
            sends=said(Failed(LONG)),
            answer=QUIET,
        )
        for what, stage in (("to list", FOLLOWING), ("early", UPDATED), ("at last", PROPOSED))
    ),
    Case(
        name="a primary gives an update up with a text that a terminal obeys",
        seen="A10",
        at=BEGUN,
        sends=said(Abandon(LONG)),
        answer=Failed,
    ),
    Case(
        name="findings that a terminal obeys",
        seen="A10",
        at=PROPOSED,
        sends=_verdict(*[EVIL_FINDING] * 3, EVIL_KEPT),
        answer=QUIET,
    ),
    Case(
        name="the most and longest findings",
        seen="A10",
        at=PROPOSED,
        sends=_verdict(
            *(
                Finding(folder="settings", path=f"{number}/" + "x" * 4000, text="t" * MAX_TEXT)
                for number in range(100)
            ),
            total=2**62,
        ),
        answer=LEAVES,
    ),
    Case(
        name="findings of paths that there are not",
        seen="A6",
        at=PROPOSED,
        sends=_verdict(
            Finding(folder="../../etc", path="../../../etc/passwd", text="gone"),
            Finding(folder="settings", path="/etc/passwd", text="gone"),
            Finding(folder="settings", path="", text="gone"),
            Finding(folder="", path="\0", kept="../../outside/file"),
        ),
        answer=QUIET,
    ),
    Case(
        name="findings without a generation, all the time",
        seen="A10",
        at=IN_STEP,
        sends=lambda _: [
            _found(Finding(folder="settings", path=f"f{number}", text=LONG)) for number in range(20)
        ],
        answer=LEAVES,
    ),
    Case(
        name="a wish for the role with a text that a terminal obeys",
        seen="R44",
        at=FOLLOWING,
        sends=said(*[AskRole(LONG)] * 100),
        answer=QUIET,
    ),
    Case(
        name="services that this node does not have",
        seen="R32",
        at=CURRENT,
        sends=_with_active("printer-1", "no-such-service", "$(reboot)"),
        answer=Committed,
    ),
    Case(
        name="the most services, none of them configured",
        seen="R32",
        at=CURRENT,
        sends=_with_active(*(f"{number}" + "s" * 200 for number in range(4096))),
        answer=Committed,
    ),
    *(
        Case(
            name=f"a service with {what}",
            seen="A10",
            at=BEGUN,
            sends=_wants("printer-1", name),
            text="active",
        )
        for what, name in {
            "a name that a terminal obeys": EVIL,
            "no name": "",
            "a name of 257 characters": "s" * 257,
        }.items()
    ),
    Case(
        name="a service whose name is a number",
        seen="A7",
        at=BEGUN,
        sends=lambda peer: [forged(peer.commit(()), active=[7])],
        text="Commit.active",
    ),
)
