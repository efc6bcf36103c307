"""Training of the embedded encoder from scratch: data, model, and the recipe."""
