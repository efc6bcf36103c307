"""Options of commands, in groups, and the files that hold their defaults."""
