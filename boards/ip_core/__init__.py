"""The accelerator as an IP core for a system on chip."""
