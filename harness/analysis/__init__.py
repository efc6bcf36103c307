"""Analysis of records: estimates, comparisons, warnings, verification. It accesses no hardware."""
