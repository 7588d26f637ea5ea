"""The driver: frames run on an accelerator, over a serial port or a simulated one."""
