"""``sbs config``: status and settings of a node on a terminal (R60 to R63, ``docs/dialog.md``)."""
