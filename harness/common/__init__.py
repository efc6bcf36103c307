"""What every other package may import: errors, files, locks, plug-ins, progress."""
