"""For integrators' tests: simulator, fakes, and checks that every adapter must pass."""
