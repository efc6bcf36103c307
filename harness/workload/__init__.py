"""What is asked of a system: tasks, data and arrival scenarios."""
