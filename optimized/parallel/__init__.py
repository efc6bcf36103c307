"""A process pool: one instance of a system per core."""
