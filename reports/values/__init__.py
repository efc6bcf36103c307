"""Figures of records and ladders, before they are laid out."""
