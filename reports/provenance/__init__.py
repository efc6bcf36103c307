"""The lines below a table: what was measured, and under which conditions."""
