"""Compilation: an integer graph into what one configuration of the accelerator loads."""
