"""Classifiers in PyTorch: loading by name, heads, encoders of any shape, devices."""
