"""The interface between harness and models, and the cache of what was prepared."""
