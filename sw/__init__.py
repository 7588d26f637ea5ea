"""Models in, integers out: training, lowering, compiling, driving, and the command line."""
