"""Cumulative counters and sampled power become the joules of a window."""
