"""Mixed precision: which layers can do with fewer bits, and which widths fit a budget."""
