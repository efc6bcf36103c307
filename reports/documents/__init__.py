"""Documents other than a report of records: comparisons, gate outcomes and histories."""
