"""The workload that systems are measured with: tasks, data and arrival scenarios."""
