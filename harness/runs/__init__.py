"""Cells, groups, slices, rounds and workers: how a run is arranged, kept and resumed."""
