"""Checkpoints: their files and labels, download, and cache keys of artifacts made from them."""
