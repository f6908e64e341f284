"""What of a node outlasts a crash: its state, and the records that hold it."""
