"""Batches of similar length, packed batches and CUDA graphs by length."""
