"""The least and greatest values of settings, with their reasons."""

from __future__ import annotations

MIN_INTERVAL_S = 0.01
"""Shortest interval or timeout: below, the timers themselves are the load."""

MIN_LEASE_S = 0.5
"""Shortest lease of a vote: below, a busy machine loses votes for nothing."""

MAX_HEARTBEAT_S = 60.0
"""Longest heartbeat interval: with more, a takeover takes minutes to begin."""

MAX_TIMEOUT_S = 3600.0
"""Longest timeout: an administrator gives up sooner."""

MAX_PERIOD_S = 86_400.0
"""Longest period of updates, a day: what is older is no standby but a backup."""

MAX_KEEP_S = 315_360_000.0
"""Longest time to keep anything, ten years."""

MAX_KEEP_BYTES = 2**62
"""Most bytes to keep of anything: more than any disk has."""

MAX_BYTES_S = 2**40
"""Greatest limit of a link: a terabyte in a second is none."""

MAX_CLOCK_DRIFT = 0.5
"""Greatest drift of two clocks: the lease rule divides by 1 - drift, and real ones keep 0.001."""

MAX_RESTARTS = 100
"""Most restarts of a service in a period: one that needs more is broken."""
