"""PyTorch modules of any shape, and how a name becomes one."""
