"""Training: FP32 first, then one set of int8 weights for all widths at once."""
