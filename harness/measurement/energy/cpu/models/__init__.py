"""Models of the energy of a processor without a counter: CPU time times a constant, and power curves."""
