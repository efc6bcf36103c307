"""What touches clocks and counters."""
