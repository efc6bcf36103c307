"""Meters of the processor: RAPL by two interfaces, hwmon, and models of CPU time."""
