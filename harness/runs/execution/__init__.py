"""The parent process of a run: workers, rounds, the stopping rule, and the records at the end."""
