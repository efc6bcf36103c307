"""Shared by all packages: errors, files, locks, plug-ins, progress, and readers of `/proc` and `/sys`."""
