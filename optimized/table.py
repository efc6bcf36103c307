"""The table of optimised variants: one line each. Loading it imports no torch or onnxruntime."""

from harness.system import Variant
from optimized.int8 import Int8Variant


def variants() -> tuple[Variant, ...]:
    """Return every variant of this package, in the order of `bench list`."""
    return (Int8Variant(),)
