"""Quantisation to int8, one module per engine."""
