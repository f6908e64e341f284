"""The follower's side until a generation is committed: verified, staged, journaled."""
