"""What holds for all tests."""

from __future__ import annotations

import os
from contextlib import suppress

with suppress(ImportError):  # the Python of Windows has none, and needs none
    from hypothesis import HealthCheck, settings

    # The same examples in each run, and no limit to their time: no test fails by chance.
    settings.register_profile(
        "steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("steady")

os.environ["LANGUAGE"] = (
    "en"  # whatever the developer's is; processes that a test starts have it, too
)
