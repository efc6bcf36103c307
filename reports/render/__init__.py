"""A table becomes text."""
