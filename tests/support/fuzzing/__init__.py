"""Damaged and hostile bytes for every reader of files that somebody else wrote."""
