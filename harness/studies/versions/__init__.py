"""The gate of two versions: of this program, or of a model in a user's own repository."""
