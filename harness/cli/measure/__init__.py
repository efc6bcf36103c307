"""Commands that start workers and measure."""
