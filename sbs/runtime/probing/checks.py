"""What ``sbs probe`` has found: one value, with the form that ``--json`` promises (B60)."""

from __future__ import annotations

import enum
from typing import Any, Final

import attrs

EXIT_FAILED: Final = 1
EXIT_UNREACHABLE: Final = 3


class Result(enum.Enum):
    """The outcome of one check."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"


@attrs.frozen(kw_only=True)
class Check:
    """One row of the diagnosis.

    Args:
        name: what was checked.
        result: the outcome.
        detail: what was found; what a peer says may hold control characters.
        hint: what to do; empty if the check passed.
    """

    name: str
    result: Result
    detail: str
    hint: str = ""


@attrs.frozen(kw_only=True)
class PeerReport:
    """What the peer says of itself."""

    name: str
    role: str
    mode: str
    epoch: int
    generation: int
    version: str


@attrs.frozen(kw_only=True)
class ProbeReport:
    """All checks up to the first one without which the others cannot be made.

    Args:
        address: that was probed.
        checks: in the order in which they were made.
        peer: ``None`` if no node answered.
        rtt_ms: time of one round trip (a connect) in milliseconds; ``None`` without connection.
    """

    address: str
    checks: tuple[Check, ...]
    peer: PeerReport | None = None
    rtt_ms: float | None = None

    @property
    def ok(self) -> bool:
        """No check failed; there may be warnings."""
        return all(check.result is not Result.FAIL for check in self.checks)

    @property
    def exit_code(self) -> int:
        """Of ``sbs probe``: 0, or 3 if the peer cannot be reached, or 1."""
        if self.ok:
            return 0
        unreachable = any(
            check.result is Result.FAIL and check.name in ("name", "route", "tcp")
            for check in self.checks
        )
        return EXIT_UNREACHABLE if unreachable else EXIT_FAILED

    def to_json(self) -> dict[str, Any]:
        """The form that ``sbs probe --json`` prints."""
        fields = attrs.asdict(self, value_serializer=_enum_value)
        return {"ok": self.ok, **fields}


def _enum_value(_instance: object, _field: object, value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else value
