"""Measurement: clocks, energy meters, and the state of the machine."""
