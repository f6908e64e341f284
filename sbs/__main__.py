"""``python -m sbs`` is ``sbs``."""

from __future__ import annotations

from sbs.cli import main

main(prog_name="sbs")
