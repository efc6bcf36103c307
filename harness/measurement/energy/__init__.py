"""Meters read energy: one file per meter, one table of them, one place that chooses and says why not."""
