"""Which width a frame runs at, and whether it runs again at another."""
