"""Queues in steady state: how long requests wait where they arrive at a rate and take measured times."""
