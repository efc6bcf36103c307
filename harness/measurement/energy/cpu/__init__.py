"""Meters of the processor: RAPL by two interfaces, hwmon, codecarbon, and models."""
