"""The figures behind a report, before any table."""
