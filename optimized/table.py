"""The table of optimised variants: one line each. Loading it imports no torch or onnxruntime."""

from baselines import pytorch
from harness.system import Variant
from optimized.fused import FusedVariant
from optimized.int8 import Int8Variant
from optimized.openvino_int8 import OpenVinoInt8Variant
from optimized.static_int8 import StaticInt8Variant


def variants() -> tuple[Variant, ...]:
    """Return every variant of this package, in the order of `bench list`."""
    rounded = (Int8Variant(), StaticInt8Variant(), OpenVinoInt8Variant())
    return (FusedVariant(), *rounded, *pytorch.HALF_PRECISION)
