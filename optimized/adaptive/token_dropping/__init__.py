"""Token dropping: pass only the most important tokens on from layer to layer."""
