"""Texts of others, made safe for a terminal."""

from __future__ import annotations

from sbs.core.printable import plain

__all__ = ["plain"]
