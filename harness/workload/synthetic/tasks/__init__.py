"""One generator for each task of the embedded sample."""
