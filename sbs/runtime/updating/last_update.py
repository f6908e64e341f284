"""What ``sbs status`` says of the last complete update (B61)."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class LastUpdate:
    """The last complete update: when (seconds since 1970), how much, and how long it took."""

    at: float
    files: int
    bytes: int
    duration_s: float
