"""Checks of a checkpoint before anything is made from it: finite weights, inputs and padding."""
