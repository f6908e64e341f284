"""By which certificates two nodes have proven to each other who they are (B62)."""

from __future__ import annotations

import datetime as dt

import attrs

from sbs.adapters.transports.identity import Certificate
from sbs.core.claim import Claim
from sbs.runtime.linking.identity_watch import NOTICE_DAYS
from sbs.runtime.probing.checks import Result


@attrs.frozen(kw_only=True)
class Proof:
    """Both certificates of a connection.

    Args:
        own: of this node.
        peer: the pinned one that the other node has shown.
    """

    own: Certificate
    peer: Certificate

    def judge(self, here: str, claim: Claim, now: dt.datetime) -> tuple[Result, str, str]:
        """What to say of them.

        Args:
            here: name of this node.
            claim: of the other node.
            now: the time, with its zone.

        Returns:
            the result, what was found, and what to do.
        """
        found = [
            f"proven by the certificate of {self.peer.name or 'nobody named'} "
            f"({self.peer.fingerprint}), valid until {_day(self.peer)}; this node's is valid until "
            f"{_day(self.own)}"
        ]
        result, hints = Result.PASS, list[str]()
        for certificate, where in ((self.own, "here"), (self.peer, "there")):
            left = certificate.expires_at - now
            if left <= dt.timedelta(days=NOTICE_DAYS):
                hints.append(f"run sbs pair --renew {where}")
                is_over = left <= dt.timedelta()
                result = Result.FAIL if is_over or result is Result.FAIL else Result.WARN
        if self.peer.name == here != claim.name:
            found.append("it bears the name of this node")
            hints.append("were the files that tls names mixed up between the nodes? Exchange them")
            result = Result.WARN if result is Result.PASS else result
        return result, "; ".join(found), "; ".join(hints)


def _day(certificate: Certificate) -> str:
    return certificate.expires_at.date().isoformat()
