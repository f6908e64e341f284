"""Transports: how bytes travel between the nodes."""
