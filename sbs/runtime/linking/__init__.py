"""Connections to the other node and to the witness."""
