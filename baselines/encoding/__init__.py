"""Encoding of texts as token ids, and batching of encoded requests."""
