"""``python -m sbs.config`` prints the reference of every key, for ``docs/configuration.md``."""

from __future__ import annotations

import sys

from sbs.config.reference import reference

sys.stdout.write(reference())
