"""What a generation replaces or deletes: kept, listed, put back; and what only this node has."""
