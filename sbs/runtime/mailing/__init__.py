"""What the administrator is told by mail: written down first, then sent (B50)."""
