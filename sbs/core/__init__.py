"""The pure core: decisions without effects. No clock, no input or output, no event loop."""
