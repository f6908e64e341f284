"""Adapters: how the ports of SBS are fulfilled on real systems."""
