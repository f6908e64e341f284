"""What a node shows by HTTP (B61): read-only, and never at the cost of its work."""
