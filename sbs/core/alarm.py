"""What the administrator should know for as long as it is so: each alarm, its cause and its remedy.

``docs/errors.md`` is made from this (``python -m tests.errors``). Codes are for scripts: they stand
in ``sbs status --json``, in metrics and in mails.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sbs.core.explanation import Explanation


class Alarm(enum.StrEnum):
    """The code of an alarm; what it means is in :data:`ALARMS`."""

    # Of the role machine.
    MODE_ALONE = "mode-alone"
    MODE_CLASH = "mode-clash"
    SAME_IDENTITY = "same-identity"
    NO_SECONDARY = "no-secondary"
    NO_PRIMARY = "no-primary"
    NO_GENERATION = "no-generation"
    DUAL_PRIMARY = "dual-primary"
    HANDOVER_FAILED = "handover-failed"
    POLICY_CLASH = "policy-clash"
    PRIMARY_LOST = "primary-lost"
    NO_VOTE = "no-vote"
    WITNESS_LOST = "witness-lost"
    FENCE_FAILED = "fence-failed"
    FLAPPING = "flapping"
    OLD_DATA = "old-data"

    # Of folders.
    FOLDER_REFUSED = "folder-refused"
    QUARANTINE = "quarantine"
    UPDATE_FAILED = "update-failed"
    UPDATE_HELD = "update-held"
    WATCH_FAILED = "watch-failed"

    # Of services and hooks.
    APPLY_HOOK_FAILED = "apply-hook-failed"
    LICENCE = "licence"
    SERVICE_DOWN = "service-down"
    SERVICE_FAILED = "service-failed"
    SERVICE_GIVEN_UP = "service-given-up"
    SERVICE_NOT_STOPPED = "service-not-stopped"
    SERVICE_UNSTABLE = "service-unstable"
    TRANSITION_HOOK_FAILED = "transition-hook-failed"
    UPDATE_HOOK_FAILED = "update-hook-failed"

    # Of connections, mail and the disk.
    IDENTITY_EXPIRES = "identity-expires"
    IDENTITY_REFUSED = "identity-refused"
    IDENTITY_UNREADABLE = "identity-unreadable"
    INSECURE = "insecure"
    MAIL_DAMAGED = "mail-damaged"
    MAIL_FAILED = "mail-failed"
    STATE_FAILED = "state-failed"
    WEB_FAILED = "web-failed"


ALARMS: Final[Mapping[Alarm, Explanation]] = MappingProxyType(
    {
        Alarm.APPLY_HOOK_FAILED: Explanation(
            "An apply script on this secondary failed; the files are applied.",
            "See the log for its output; run it by hand, or wait for the next update.",
        ),
        Alarm.DUAL_PRIMARY: Explanation(
            "Both nodes were primary, after a partition or a start in which they could not hear "
            "each other. One has stopped.",
            "Look at the network between them. What was written meanwhile on the node that "
            "stopped is in its quarantine: see `quarantine`.",
        ),
        Alarm.FENCE_FAILED: Explanation(
            "The fence hook did not succeed: the primary is lost, but not proven to be off.",
            "See the log for its output; it is tried again. If the other node is certainly off: "
            "`sbs takeover --force`.",
        ),
        Alarm.FLAPPING: Explanation(
            "The main server was replaced three times within an hour; the role does not go back "
            "by itself.",
            "Find out why it fails; then `sbs switchover`.",
        ),
        Alarm.FOLDER_REFUSED: Explanation(
            "A folder learned from the primary has no allowed place on this node.",
            "Name it under `[[folders]]`, or a directory above it in `sync.accept_under`.",
        ),
        Alarm.HANDOVER_FAILED: Explanation(
            "The secondary did not take the role over; the nodes decide anew.",
            "See the secondary's log; try `sbs switchover` again.",
        ),
        Alarm.IDENTITY_EXPIRES: Explanation(
            "The certificate of one node expires within 30 days, or has. From then on neither "
            "takes the other for its peer.",
            "`sbs pair --renew` on the node that the text names (docs/pairing.md).",
        ),
        Alarm.IDENTITY_REFUSED: Explanation(
            "What answers at `node.peer` cannot prove to be the peer, or is the peer and does not "
            "know this node. No role changes hands with it; while the peer itself turns it away, "
            "this node does not take over, for the peer runs and may serve. Under `quorum` the "
            "witness's vote decides.",
            "The text says which of the two, and what to do. If neither node has a new identity, "
            "find out who answers there.",
        ),
        Alarm.IDENTITY_UNREADABLE: Explanation(
            "`tls.identity` or `tls.peer_certificate` cannot be read any more, or others can read "
            "or change it; what was read before stays in use.",
            "The text names the file and what to do. Mend it before SBS starts anew.",
        ),
        Alarm.INSECURE: Explanation(
            "The connection leaves this machine without TLS: `node.listen` is beyond loopback "
            "(`tls.insecure = true`), or `node.peer` is.",
            "`sbs pair` on both nodes, then take `tls.insecure` out, if it is there "
            "(docs/pairing.md).",
        ),
        Alarm.LICENCE: Explanation(
            "The licence withholds the services of this primary, does not count any more, cannot "
            "be found out, or ends within 30 days.",
            "The text says which, and what to do; docs/licences.md has the rule.",
        ),
        Alarm.MAIL_DAMAGED: Explanation(
            "A message that waited to be mailed is damaged on the disk, or cannot be read; it is "
            "not sent.",
            "The text names the file. Remove what was set aside; the alarm ends at the next start.",
        ),
        Alarm.MAIL_FAILED: Explanation(
            "Messages to the administrator cannot be delivered now; they wait on the disk, and "
            "are tried again.",
            "The text says at which step, and what the server answers. `sbs mail test` shows each "
            "step (docs/mail.md).",
        ),
        Alarm.MODE_ALONE: Explanation(
            "One node is primary-only or backup-only and the other is symmetric.",
            "Set the modes as a pair: primary-only and backup-only, or symmetric on both.",
        ),
        Alarm.MODE_CLASH: Explanation(
            'Both nodes have the same "only" mode; the later one ended.',
            "Set the modes as a pair: primary-only and backup-only, or symmetric on both.",
        ),
        Alarm.NO_GENERATION: Explanation(
            "The primary was lost before this node held a complete copy; it does not take over.",
            "Start the primary. To begin without its data, restart this node; if it waits for a "
            "primary then, too, and none is left: `sbs takeover --force`.",
        ),
        Alarm.NO_PRIMARY: Explanation(
            "This node waits for a primary: it is backup-only, or the other one may have led since "
            "(`failover.start_alone`).",
            "Start the primary; `sbs probe` finds why it is not seen. If it is gone for good: `sbs "
            "takeover --force`.",
        ),
        Alarm.NO_SECONDARY: Explanation(
            "Nothing is replicated, and nothing can take over.",
            "Start the other node; `sbs probe` finds why it is not seen.",
        ),
        Alarm.NO_VOTE: Explanation(
            "Policy `quorum`: this node has no majority. A primary has stopped its services; a "
            "candidate stays out.",
            "The text says who does not answer. Mend the witness or the network; if the other "
            "node is certainly off: `sbs takeover --force`.",
        ),
        Alarm.OLD_DATA: Explanation(
            "This node leads with data that is known to be older than the other's.",
            "If the other node still exists, start it before anybody writes here.",
        ),
        Alarm.POLICY_CLASH: Explanation(
            "The nodes have different partition policies; the later one ended.",
            "Set `failover.partition_policy`, `witness.adapter` and `witness.pair` alike on both.",
        ),
        Alarm.PRIMARY_LOST: Explanation(
            "The primary is lost, and this node may not replace it by itself: policy `protect`, "
            "or takeovers are paused.",
            "`sbs resume`, or, if the other node is certainly off, `sbs takeover --force`.",
        ),
        Alarm.QUARANTINE: Explanation(
            "An update would have destroyed files that only this node had: written while both "
            "led, or after the last update of a primary that died, or by hand. They were put "
            "aside first.",
            "The text and `sbs status` name them. Compare, copy back what is needed on the "
            "primary, then remove the file from `.sbs.staging/quarantine` in its folder; the "
            "alarm ends when none is left.",
        ),
        Alarm.SAME_IDENTITY: Explanation(
            "The peer has this node's identity: it is this node, or a copy of its state directory.",
            "Correct `node.peer`, or stop SBS on the copy, and remove its `state_dir`.",
        ),
        Alarm.SERVICE_DOWN: Explanation(
            "A service that should run does not. It is started again within limits "
            "(docs/services.md).",
            "See its output in the log. If it goes on ending: see `service-unstable` and "
            "`service-given-up`.",
        ),
        Alarm.SERVICE_FAILED: Explanation(
            "A service could not be started. It is tried again within the same limits as one that "
            "ended (docs/services.md).",
            "The text says why; mend it, then `sbs unit start NAME`. If the mistake is in the "
            "configuration file: restart SBS, which reads it only at its start.",
        ),
        Alarm.SERVICE_GIVEN_UP: Explanation(
            "A service that should run does not, and is not started again: it ended, or could not "
            "be started, more often than `services.restart_limit` allows.",
            "The text says how it ended, and the log has its output. Mend it, then `sbs unit start "
            "NAME`. If the mistake is in the configuration file: restart SBS, which reads it only "
            "at its start.",
        ),
        Alarm.SERVICE_NOT_STOPPED: Explanation(
            "Something of a service survives even the kill.",
            "Look at the process the text names; it hangs in the kernel, most often on a disk.",
        ),
        Alarm.SERVICE_UNSTABLE: Explanation(
            "A service ends by itself again and again. It is started again each time, and does not "
            "end often enough to be given up.",
            "Find out why: its output is in the log. Mend it, then `sbs unit restart NAME`. The "
            "alarm ends once the service has run for `services.restart_period_s`.",
        ),
        Alarm.STATE_FAILED: Explanation(
            "`node.json` in the state directory cannot be written: a full disk, a broken or "
            "read-only one. What would have to be remembered first does not happen: no role is "
            "taken, and no generation is acknowledged by this node.",
            "The text names the path and the cause. Mend it; it is tried again each second.",
        ),
        Alarm.TRANSITION_HOOK_FAILED: Explanation(
            "A transition hook failed; the role changed all the same.",
            "See the log for its output.",
        ),
        Alarm.UPDATE_FAILED: Explanation(
            "An update could not be read, sent, taken or applied. The last complete generation "
            "stays, and it is tried again.",
            "The text names the path and the cause. If it asks whether a disk is mounted: mount "
            "it, and it goes on. If the folder is meant to lie on the file system of `/` from now "
            "on, remove `index.db` from the state directory while SBS is stopped.",
        ),
        Alarm.UPDATE_HELD: Explanation(
            "An update would delete so much, or on such a basis, that nothing of it is sent: the "
            "text names the folder and why. The secondary keeps everything. It is tried again "
            "each period, and goes on by itself when the cause is gone.",
            "Look at the folder on the primary: is its disk mounted? `sbs diff` lists what would "
            "be deleted. If that is meant: `sbs sync --accept ID`, with the id of the text. If "
            "not: the secondary still has all of it; copy it back from its folder.",
        ),
        Alarm.UPDATE_HOOK_FAILED: Explanation(
            "An update script failed, or printed what is neither a path nor a warning. The "
            "folders are replicated as they are, or wait for it (`hooks.on_update_failure`).",
            "The text says which; see the log for its output (docs/hooks.md).",
        ),
        Alarm.WATCH_FAILED: Explanation(
            "Changes are not noticed at once, only at the period.",
            "The text names the limit to raise, or the folder that is not there.",
        ),
        Alarm.WEB_FAILED: Explanation(
            "Status, health and metrics cannot be had by HTTP (`web.listen`), or one answer "
            "failed; the node does its work all the same. A load balancer takes it for down.",
            "The text says why. A port in use or an address that is not this machine's is tried "
            "again every five seconds (docs/web.md). What is called a bug of SBS stays until SBS "
            "starts anew; the log has the details.",
        ),
        Alarm.WITNESS_LOST: Explanation(
            "The witness gives this primary no vote. The pair goes on; with the other node lost "
            "as well, the services would stop.",
            "Mend the witness: the text says why it does not answer.",
        ),
    }
)
"""Each alarm explained, in the order of the page."""
