"""``sbs demo``: a real pair on loopback that replicates, loses its primary, and takes over."""
