"""The integer graph: a network as integers only, its files and its golden arithmetic."""
