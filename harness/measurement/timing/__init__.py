"""The timed loops and warm-up."""
