"""What touches clocks, counters and the machine."""
