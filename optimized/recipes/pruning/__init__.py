"""Structured pruning of heads, feed-forward units, width and vocabulary."""
