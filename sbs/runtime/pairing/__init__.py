"""Two nodes that learn each other's certificate: ``sbs pair`` (B62)."""
