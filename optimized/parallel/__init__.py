"""A pool of processes, one for each core."""
