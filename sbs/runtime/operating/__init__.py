"""What an operator asks of a node, and sees of it."""
