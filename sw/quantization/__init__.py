"""Quantization: networks of torch that switch between widths, and the integers they become."""
