"""Boards: resources, pins, clock, and how a bitstream is built."""
