"""What ``sbs status`` and ``sbs licence show`` say of the node's licence (R40)."""

from __future__ import annotations

from typing import Any

import attrs

from sbs.core.licence import Standing


@attrs.frozen(kw_only=True)
class LicenceStatus:
    """The node's licence (R40 to R44).

    Args:
        kind: of the one that counts, or did; ``None``: there is none.
        holder: to whom it was issued.
        serial: the vendor's number for it.
        expires: the last day on which it counts; ``None``: it has no end.
        problem: why it does not count; empty: it does.
        warning: what will be a problem soon.
        granted: this primacy is a takeover, which any licence allows (R43).
        refusal: why services are withheld; empty: they are not.
    """

    kind: str | None
    holder: str
    serial: str
    expires: str | None
    problem: str
    warning: str
    granted: bool = False
    refusal: str = ""

    @classmethod
    def of(
        cls, standing: Standing, *, granted: bool = False, refusal: str = ""
    ) -> LicenceStatus | None:
        """What is known of a licence; ``None`` where none is needed."""
        licence = standing.licence
        if licence is None and not standing.problem and not refusal:
            return None
        return cls(
            kind=None if licence is None else licence.kind.value,
            holder="" if licence is None else licence.holder,
            serial="" if licence is None else licence.serial,
            expires=None if licence is None or licence.expires is None else str(licence.expires),
            problem=standing.problem,
            warning=standing.warning,
            granted=granted,
            refusal=refusal,
        )

    def to_json(self) -> dict[str, Any]:
        """The form that ``sbs licence show --json`` prints."""
        return attrs.asdict(self)
