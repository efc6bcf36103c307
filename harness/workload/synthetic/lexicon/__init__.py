"""The words of the embedded sample."""
