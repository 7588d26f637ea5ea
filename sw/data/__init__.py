"""Data sets: images or maps of features as codes of 8 bits, and their labels."""
