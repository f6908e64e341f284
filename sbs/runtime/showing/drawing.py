"""Pictures of the page: what each role looks like, the stages, the updates; SVG without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from sbs.core.claim import Role
from sbs.runtime.showing.chronicle import Stage
from sbs.runtime.updating.last_update import LastUpdate

COLOURS: Final = {
    Role.STOPPED: "#6b7280",
    Role.PROBING: "#a16207",
    Role.WAITING: "#a16207",
    Role.PRIMARY: "#15803d",
    Role.SECONDARY: "#1d4ed8",
    Role.FENCED: "#b91c1c",
}
"""Of the favicon and the logo; white signs on them have a contrast of 4.5 at least."""

_SIGNS: Final = {
    Role.STOPPED: '<rect x="11" y="11" width="10" height="10"/>',
    Role.PROBING: '<circle cx="9" cy="16" r="2.4"/><circle cx="16" cy="16" r="2.4"/>'
    '<circle cx="23" cy="16" r="2.4"/>',
    Role.WAITING: '<rect x="10" y="10" width="4" height="12"/>'
    '<rect x="18" y="10" width="4" height="12"/>',
    Role.PRIMARY: '<path d="M12 9 L24 16 L12 23 Z"/>',
    Role.SECONDARY: '<path d="M16 8 a8 8 0 1 0 0.01 0 Z M16 12 a4 4 0 1 1 -0.01 0 Z" '
    'fill-rule="evenodd"/>',
    Role.FENCED: '<path d="M9 11 L11 9 L16 14 L21 9 L23 11 L18 16 L23 21 L21 23 L16 18 L11 23 '
    'L9 21 L14 16 Z"/>',
}
"""The role is told by a shape, too: a colour alone is not seen by everybody."""

PLOT_HEIGHT: Final = 80
BAR_WIDTH: Final = 12
BAR_PITCH: Final = 16


def logo(role: Role) -> str:
    """The sign of a role on its colour, 32 by 32."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" aria-hidden="true">'
        f'<rect width="32" height="32" rx="8" fill="{COLOURS[role]}"/>'
        f'<g fill="#ffffff">{_SIGNS[role]}</g></svg>'
    )


def timeline(stages: Sequence[Stage], now: float) -> str:
    """The roles of the node since its start, as a strip.

    Args:
        stages: oldest first, at least one.
        now: seconds since 1970.
    """
    begin, ends = stages[0].at, [*(stage.at for stage in stages[1:]), now]
    span = max(now - begin, 1.0)
    parts: list[str] = []
    for stage, end in zip(stages, ends, strict=True):
        x, width = 1000 * (stage.at - begin) / span, 1000 * max(end - stage.at, 0) / span
        parts.append(
            f'<rect class="role-{stage.role.value}" x="{x:.1f}" y="0" width="{max(width, 3):.1f}" '
            f'height="40"><title>{stage.role.value}, epoch {stage.epoch}</title></rect>'
        )
    words = ", then ".join(stage.role.value for stage in stages[-5:])
    return (
        '<svg class="strip" viewBox="0 0 1000 40" preserveAspectRatio="none" role="img" '
        f'aria-label="Roles: {escape(words)}">{"".join(parts)}</svg>'
    )


def updates(found: Sequence[LastUpdate]) -> str:
    """A bar for each update, as high as it was long.

    Args:
        found: oldest first, at least one.
    """
    longest_s = max((update.duration_s for update in found), default=0.0) or 1.0
    bars: list[str] = []
    for number, update in enumerate(found):
        height = max(2.0, PLOT_HEIGHT * update.duration_s / longest_s)
        bars.append(
            f'<rect x="{number * BAR_PITCH}" y="{PLOT_HEIGHT - height:.1f}" width="{BAR_WIDTH}" '
            f'height="{height:.1f}" rx="2"><title>changes: {update.files}, bytes: {update.bytes}, '
            f"{update.duration_s:.3f} s</title></rect>"
        )
    width = BAR_PITCH * max(len(found), 30)
    return (
        f'<svg class="plot" viewBox="0 0 {width} {PLOT_HEIGHT}" role="img" '
        'preserveAspectRatio="xMinYMax meet" '
        f'aria-label="Durations of the last {len(found)} updates, the longest {longest_s:.3f} s">'
        f"{''.join(bars)}</svg>"
    )
