"""Calls without padding."""
