"""The child process of a run, and the messages between it and its parent."""
