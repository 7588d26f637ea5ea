"""The golden model of whole networks, the cycle model, and co-simulation."""
