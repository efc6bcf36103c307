"""Adapters of inference engines, one engine in each module."""
