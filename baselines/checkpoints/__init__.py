"""A checkpoint's files, labels and cache keys."""
