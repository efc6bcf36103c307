"""The interface between the harness and the models, and the cache of prepared artifacts."""
