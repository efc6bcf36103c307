"""What cores and boards can do at most, measured."""
