"""What was measured, and under which conditions, in words."""
