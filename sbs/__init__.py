"""SBS keeps a second server ready to replace the first."""

__version__ = "0.1.0"
