"""Structured pruning of attention heads, feed-forward units, width and vocabulary."""
