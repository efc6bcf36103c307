"""Instruments of the user's own, and readings that are replayed."""
