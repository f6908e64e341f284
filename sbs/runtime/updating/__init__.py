"""The replicated folders of a node: what a leader and a follower do in a session (R20, B20)."""
