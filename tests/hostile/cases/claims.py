"""What a peer says of itself: identities, epochs, histories, roles, pauses, votes, testaments."""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from sbs.core.claim import MAX_PAUSES, Claim, Pause, Policy, Role
from sbs.core.codec import encode
from sbs.core.epoch import MAX_COUNTER, Epoch
from sbs.core.frames import PREAMBLE
from sbs.core.history import MAX_GENERATION, Generation, History
from sbs.core.messages import (
    AskLease,
    Audited,
    Committed,
    Failed,
    Folders,
    Follow,
    GrantLease,
    Hello,
    Refused,
    Released,
    Serving,
    SetPause,
    Taken,
    Welcome,
)
from sbs.core.testament import SECRET_BYTES, Fenced, Will
from tests.hostile.case import CLOSED, QUIET, Answer, Case, Makes, Sends, one, said
from tests.hostile.forge import fields_of, forged
from tests.hostile.peer import CLAIM, FOLDER, leading
from tests.hostile.stages import ASKED, CALLED, CURRENT, IN_STEP, INTRUDING, SILENT, WELCOMED

FAR: Final = Epoch(MAX_COUNTER, 1)
LAST_PAUSE: Final = SetPause(Pause(MAX_PAUSES, on=True))
LEASE: Final = AskLease(epoch=Epoch(1, 1), serial=1, hold_s=1.0)


def _history(epoch: Epoch, number: int) -> History:
    return History((Generation(epoch, number),))


def _hello(claim: Claim = CLAIM) -> bytes:
    return PREAMBLE + encode(Hello(versions=(1, 1), software="sbs", claim=claim))


def _claimed(name: str, value: object) -> Sends:
    """A hello in whose claim something is as no class allows it."""
    hello = Hello(versions=(1, 1), claim=CLAIM)
    claim = {**fields_of(hello)["claim"], name: value}
    return said(PREAMBLE + forged(hello, claim=claim))


CLAIMED: Final[dict[str, tuple[str, object]]] = {
    "an identity that is none": ("node_id", "../../../etc"),
    "an identity of other digits": ("node_id", "F" * 32),
    "a name with control characters": ("name", "beta\x1b[2J"),
    "a name of 65 characters": ("name", "b" * 65),
    "a name that is an option": ("name", "-rf"),
    "a mode that there is not": ("mode", "king"),
    "a role that there is not": ("role", "owner"),
    "a policy that there is not": ("policy", "mine"),
    "a slot of two": ("slot", 2),
    "a negative priority": ("priority", -1),
    "an epoch beyond all": ("epoch", [2**62, 0]),
    "a negative epoch": ("epoch", [-1, 0]),
    "an epoch of three": ("epoch", [1, 0, 0]),
    "a history that descends": ("history", [[2, 0, 1, bytes(32)], [1, 0, 2, bytes(32)]]),
    "a history of 129 generations": ("history", [[1, 0, n, bytes(32)] for n in range(129)]),
    "a generation with a digest of 31 bytes": ("history", [[1, 0, 1, bytes(31)]]),
    "a pause beyond all": ("pause", {"serial": 2**62 + 1, "on": True}),
    "a witness with a terminal's commands": ("witness", "\x1b]0;x\x07"),
}

FAR_CALLERS: Final[dict[str, tuple[Claim, str]]] = {
    "the last epoch that there is": (attrs.evolve(CLAIM, epoch=FAR), "epoch"),
    "to be primary in the last epoch that there is": (
        attrs.evolve(CLAIM, role=Role.PRIMARY, epoch=FAR, history=_history(FAR, 1)),
        "epoch",
    ),
    "a generation in the last epoch that there is": (
        attrs.evolve(CLAIM, history=_history(FAR, 1)),
        "epoch",
    ),
    "the last generation that there is": (
        attrs.evolve(CLAIM, history=_history(Epoch(1, 1), MAX_GENERATION)),
        "generation",
    ),
    "the last pause that there is": (
        attrs.evolve(CLAIM, pause=Pause(MAX_PAUSES, on=True)),
        "pause",
    ),
}

FAR_PRIMARIES: Final[dict[str, tuple[Claim, str]]] = {
    "the last epoch that there is": (
        attrs.evolve(leading(), epoch=FAR, history=_history(FAR, 1)),
        "epoch",
    ),
    "the last generation that there is": (
        attrs.evolve(leading(), history=_history(Epoch(1, 1), MAX_GENERATION)),
        "generation",
    ),
}

WELCOMES: Final[dict[str, tuple[Makes, str]]] = {
    "the last epoch that there is": (lambda peer: Welcome(FAR, peer.history), "epoch"),
    "the last generation that there is": (
        lambda peer: Welcome(peer.epoch, _history(peer.epoch, MAX_GENERATION)),
        "generation",
    ),
    "an epoch that is over": (lambda _: Welcome(Epoch(0, 0), History()), "is over"),
}

THIRD: Final = attrs.evolve(leading(), node_id="c" * 32, name="gamma")

INTRUDERS: Final[dict[str, tuple[Claim, str]]] = {
    "to be new": (attrs.evolve(CLAIM, node_id="c" * 32, name="gamma"), "decide anew"),
    "to be primary": (THIRD, "decide anew"),
    "to be primary under another policy": (
        attrs.evolve(THIRD, policy=Policy.PROTECT),
        "decide anew",
    ),
    "to be its primary under another policy": (
        attrs.evolve(leading(), policy=Policy.PROTECT),
        "decide anew",
    ),
    "newer data": (
        attrs.evolve(THIRD, epoch=Epoch(9, 1), history=_history(Epoch(9, 1), 99)),
        "decide anew",
    ),
}

Row: TypeAlias = tuple[str, str, Makes, Answer, str]
"""What somebody does, where it was seen, the message, the answer and its text."""

PRIMARY: Final[tuple[Row, ...]] = (
    (
        "begins an update in another epoch",
        "A22",
        lambda peer: attrs.evolve(peer.begin(), epoch=Epoch(9, 1)),
        CLOSED,
        "",
    ),
    (
        "releases its role in an epoch that is over",
        "B2",
        lambda _: Released(epoch=Epoch(0, 1), generation=None),
        Refused,
        "is over",
    ),
    (
        "releases its role with no generation to a node that has none",
        "R8",
        lambda peer: Released(epoch=peer.epoch, generation=None),
        CLOSED,
        "",
    ),
    (
        "releases its role after a generation that the node lacks",
        "R8",
        lambda peer: Released(epoch=peer.epoch, generation=peer.history.tip),
        CLOSED,
        "",
    ),
    (
        "asks for a vote for a week, with the last serial that there is",
        "B3",
        lambda peer: AskLease(epoch=peer.epoch, serial=2**62, hold_s=604_800.0),
        GrantLease,
        "",
    ),
    (
        "asks for a vote that lasts for ever",
        "B3",
        lambda _: forged(LEASE, hold_s=float("inf")),
        Refused,
        "hold_s",
    ),
    (
        "asks for a vote that lasts no number of seconds",
        "B3",
        lambda _: forged(LEASE, hold_s=float("nan")),
        Refused,
        "hold_s",
    ),
    (
        "asks for a vote in another epoch",
        "B3",
        lambda _: attrs.evolve(LEASE, epoch=Epoch(9, 1)),
        QUIET,
        "",
    ),
    ("serves in another epoch", "B6", lambda _: Serving(Epoch(9, 1)), QUIET, ""),
    ("tells the last pause that there is", "B6", lambda _: LAST_PAUSE, Refused, "pause"),
    (
        "leaves a will for another's place at the witness",
        "B31",
        lambda _: Will(bytes(SECRET_BYTES), "another-pair.1"),
        QUIET,
        "",
    ),
    (
        "leaves a will with a digest of one byte",
        "B31",
        lambda _: forged(Will(bytes(SECRET_BYTES)), digest=b"x"),
        Refused,
        "Will",
    ),
)

SECONDARY: Final[tuple[Row, ...]] = (
    ("grants a vote that nobody asked for", "B3", lambda _: GrantLease(2**62), QUIET, ""),
    ("tells the last pause that there is", "B6", lambda _: LAST_PAUSE, Refused, "pause"),
    ("takes the role unasked", "B6", lambda _: Taken(FAR), Refused, "may not send Taken"),
    (
        "acknowledges what was not sent",
        "A24",
        lambda peer: Committed(Generation(peer.epoch, 99, bytes(32))),
        Refused,
        "may not send Committed",
    ),
    (
        "says that an update failed that there is not",
        "A24",
        lambda _: Failed("no"),
        Refused,
        "may not send Failed",
    ),
    (
        "answers an audit that nobody asked for, twice",
        "B26",
        lambda _: encode(Audited((bytes(32),))) * 2,
        CLOSED,
        "",
    ),
    (
        "sends what only a primary may",
        "A24",
        lambda peer: Folders(peer.epoch, (FOLDER,)),
        Refused,
        "may not send Folders",
    ),
    (
        "says hello again",
        "A22",
        lambda _: Hello(versions=(1, 1), claim=CLAIM),
        Refused,
        "may not send Hello",
    ),
    ("follows again", "A22", lambda peer: Follow(peer.epoch), Refused, "may not send Follow"),
    (
        "tells of a death",
        "B31",
        lambda _: Fenced(bytes(SECRET_BYTES)),
        Refused,
        "may not send Fenced",
    ),
)

CASES: Final = (
    *(
        Case(
            name=f"a stranger claims {what}",
            seen="A22",
            at=SILENT,
            sends=_claimed(name, value),
            text="Hello.claim",
        )
        for what, (name, value) in CLAIMED.items()
    ),
    *(
        Case(
            name=f"a caller claims {what}",
            seen="B62",
            at=SILENT,
            sends=said(_hello(claim), Follow(claim.epoch)),
            text=text,
        )
        for what, (claim, text) in FAR_CALLERS.items()
    ),
    *(
        Case(
            name=f"a primary that is called claims {what}",
            seen="B62",
            at=CALLED,
            sends=said(_hello(claim)),
            text=text,
        )
        for what, (claim, text) in FAR_PRIMARIES.items()
    ),
    *(
        Case(
            name=f"a primary welcomes in {what}",
            seen="B62",
            at=ASKED,
            sends=one(make),
            text=text,
        )
        for what, (make, text) in WELCOMES.items()
    ),
    *(
        Case(
            name=f"a primary {what}",
            seen=seen,
            at=WELCOMED if "no generation" in what else CURRENT,
            sends=one(make),
            answer=answer,
            text=text,
        )
        for what, seen, make, answer, text in PRIMARY
    ),
    *(
        Case(
            name=f"a third node asks a secondary to lead, and claims {what}",
            seen="R1",
            at=INTRUDING,
            sends=said(_hello(claim), Follow(claim.epoch)),
            text=text,
        )
        for what, (claim, text) in INTRUDERS.items()
    ),
    Case(
        name="a node that is called tells of a death that it cannot prove",
        seen="B31",
        at=CALLED,
        sends=said(PREAMBLE + encode(Fenced(bytes(SECRET_BYTES)))),
        answer=CLOSED,
    ),
    *(
        Case(
            name=f"a secondary {what}",
            seen=seen,
            at=IN_STEP,
            sends=one(make),
            answer=answer,
            text=text,
        )
        for what, seen, make, answer, text in SECONDARY
    ),
)
