"""Why two nodes do not see each other, or do not fit: what ``sbs probe`` finds (B60, R64)."""
