"""Reads what others wrote: regular files, JSON, YAML and arrays, each with limits."""
