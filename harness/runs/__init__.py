"""Runs: from options to records."""
