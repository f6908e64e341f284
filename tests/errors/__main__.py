"""``python -m tests.errors`` prints the tables of ``docs/errors.md``."""

from __future__ import annotations

import sys

from tests.errors.page import document

sys.stdout.write(document())
