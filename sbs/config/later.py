"""Sections of which this version accepts the neutral values only, so that nothing is ignored."""

from __future__ import annotations

import attrs

from sbs.config.declare import checked, key
from sbs.config.kinds import Neutral, Text


@attrs.frozen(kw_only=True, field_transformer=checked)
class WebSettings:
    """Section ``[web]``: the status page."""

    listen: str = attrs.field(
        default="",
        metadata=key(Neutral(Text(), "", '""'), "The address it is served at; empty: off."),
    )
