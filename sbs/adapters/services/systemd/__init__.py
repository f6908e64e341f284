"""Services as units of systemd, asked for through D-Bus (B30); ``docs/systemd.md`` has the rest."""
