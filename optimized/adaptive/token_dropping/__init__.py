"""Token dropping: pass fewer tokens on from layer to layer."""
