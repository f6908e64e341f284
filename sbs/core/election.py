"""Who of two nodes is primary (B1): one pure, total, antisymmetric rule.

Both nodes apply :func:`elect` to the same two claims and come to opposite results. In order:

1. *Newest data first.* Where one history continues the other, it leads, unless the shorter one
   belongs to a running primary and the longer only holds what that very primary made.
2. A running primary leads.
3. Where none runs, the one that never gave its last primacy back: it wrote on alone.
4. Where two primaries run (a partition has healed), mode, priority, and then the side whose
   primacy did not begin on silence; on equality the newer epoch.
5. Mode, priority, node id.
"""

from __future__ import annotations

import enum

import attrs

from sbs.core.claim import Claim, Mode, Role
from sbs.core.history import Relation


class Reason(enum.Enum):
    """Which rule decided."""

    HISTORY = "its longer history"
    PRIMARY = "its running primacy"
    HELD = "a primacy that it never gave back"
    MODE = "its mode"
    PRIORITY = "its priority"
    HEARD = "a primacy that did not begin on silence"
    EPOCH = "its newer epoch"
    NODE_ID = "its smaller node id"


@attrs.frozen
class Decision:
    """Whether the first of two claims leads, and the rule that decided."""

    leads: bool
    reason: Reason


def elect(mine: Claim, theirs: Claim) -> Decision:
    """Decide between two claims of different nodes.

    Returns:
        the decision seen from ``mine``; exchanging the arguments gives the opposite.

    Raises:
        ValueError: both claims carry the same node id; see :func:`same_node`.
    """
    if same_node(mine, theirs):
        raise ValueError(f"both claims are of node {mine.node_id}")
    match mine.history.relation(theirs.history):
        case Relation.AHEAD if _overrules(mine, theirs):
            return Decision(True, Reason.HISTORY)
        case Relation.BEHIND if _overrules(theirs, mine):
            return Decision(False, Reason.HISTORY)
        case _:
            return _by_standing(mine, theirs)


def _overrules(longer: Claim, shorter: Claim) -> bool:
    """Whether a longer history decides against a primary that runs on the shorter one."""
    if longer.primary or not shorter.primary:
        return True
    # What a running primary made itself, and was not yet told to be committed, is its own.
    tip = shorter.history.tip
    return tip is None or longer.history.entries[-1].epoch > tip.epoch


def _by_standing(mine: Claim, theirs: Claim) -> Decision:
    if mine.primary != theirs.primary:
        return Decision(mine.primary, Reason.PRIMARY)
    if not mine.primary and mine.held != theirs.held:
        return Decision(mine.held, Reason.HELD)
    if mine.mode is not theirs.mode:
        return Decision(mine.mode.rank > theirs.mode.rank, Reason.MODE)
    if mine.priority != theirs.priority:
        return Decision(mine.priority > theirs.priority, Reason.PRIORITY)
    if mine.primary and mine.on_silence != theirs.on_silence:
        return Decision(theirs.on_silence, Reason.HEARD)
    if mine.primary and mine.epoch.counter != theirs.epoch.counter:
        return Decision(mine.epoch > theirs.epoch, Reason.EPOCH)
    return Decision(mine.node_id < theirs.node_id, Reason.NODE_ID)


def same_node(mine: Claim, theirs: Claim) -> bool:
    """Whether both claims carry one identity: a node called itself, or one was cloned."""
    return mine.node_id == theirs.node_id


def modes_clash(mine: Claim, theirs: Claim) -> bool:
    """Whether both nodes have the same "only" mode, which R6 refuses."""
    return mine.mode is theirs.mode and mine.mode is not Mode.SYMMETRIC


def mode_alone(mine: Claim, theirs: Claim) -> bool:
    """Whether just one node has an "only" mode, which R6 warns of."""
    return (mine.mode is Mode.SYMMETRIC) != (theirs.mode is Mode.SYMMETRIC)


def policies_clash(mine: Claim, theirs: Claim) -> bool:
    """Whether silence means different things to the two nodes, or they ask for different votes.

    Neither is safe (B3).
    """
    return (mine.policy, mine.witness) != (theirs.policy, theirs.witness)


_SENIORITY = {Role.PRIMARY: 2, Role.SECONDARY: 1, Role.WAITING: 1}


def came_first(mine: Claim, theirs: Claim) -> bool:
    """Which of two nodes that may not run together stays (R6): the settled one, else the elected.

    Antisymmetric for claims of different nodes.
    """
    seniority = _SENIORITY.get(mine.role, 0) - _SENIORITY.get(theirs.role, 0)
    return seniority > 0 if seniority else elect(mine, theirs).leads


def agreed_slot(mine: Claim, theirs: Claim) -> int:
    """The slot ``mine`` has from now on: if both have the same, the larger node id moves (B2)."""
    if mine.slot == theirs.slot and mine.node_id > theirs.node_id:
        return 1 - mine.slot
    return mine.slot
