"""Commands that make or use one model."""
