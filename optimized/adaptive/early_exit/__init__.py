"""Early exit: stop at a layer that is sure enough."""
