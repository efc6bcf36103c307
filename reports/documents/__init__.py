"""Reports that are more than one table."""
