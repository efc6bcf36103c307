"""Downloads of the official archives."""
