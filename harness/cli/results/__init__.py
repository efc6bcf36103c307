"""Commands that read records or predictions."""
