"""Energy meters: one file per meter, one table of them, and one place that chooses one and explains why."""
