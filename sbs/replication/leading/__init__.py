"""The leader's side: looks at its folders, plans, reads, sends."""
