"""What holds for all tests."""

from __future__ import annotations

import os

os.environ["LANGUAGE"] = (
    "en"  # whatever the developer's is; processes that a test starts have it, too
)
