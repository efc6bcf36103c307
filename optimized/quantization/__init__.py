"""Quantisation to int8, one engine a file."""
