"""Adaptive inference: spend fewer layers, tokens or models on easy requests."""
