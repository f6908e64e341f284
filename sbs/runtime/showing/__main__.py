"""``python -m sbs.runtime.showing`` prints the table of metrics, for ``docs/web.md``."""

from __future__ import annotations

import sys

from sbs.runtime.showing.metrics import table

sys.stdout.write(table())
