"""Adaptive inference: work only where a request needs it."""
