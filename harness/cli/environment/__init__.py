"""Commands about the machine, the data and the cache."""
