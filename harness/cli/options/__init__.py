"""Options that commands share, and where their defaults come from."""
