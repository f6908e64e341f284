"""``python -m sbs.core.role`` prints the machine's diagram and table, for ``docs/roles.md``."""

from __future__ import annotations

import sys

from sbs.core.role.describe import document

sys.stdout.write(document())
