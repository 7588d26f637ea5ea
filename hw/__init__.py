"""The gateware: one block, one file, each beside the golden function that defines it."""
