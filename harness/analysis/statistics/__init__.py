"""Estimates, ratios and verdicts, computed from the rounds of records."""
