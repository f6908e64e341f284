"""The shell around the core, on trio: links, updates, services, state, control."""
