"""The table of optimised variants: one line each. Loading it imports no torch or onnxruntime."""

from baselines import openvino, pytorch
from harness.system import Variant
from optimized import captured, packed
from optimized.batched import BatchedVariant
from optimized.compiled_int8 import CompiledInt8Variant
from optimized.ctranslate2_int8 import CTranslate2Int8Variant
from optimized.exits import EARLY_EXIT
from optimized.fastest import FastestVariant
from optimized.fused import FusedVariant
from optimized.int8 import Int8Variant
from optimized.native import NativeVariant
from optimized.openvino_int8 import OpenVinoInt8Variant
from optimized.static_int8 import StaticInt8Variant
from optimized.tokens import TOKENS
from optimized.tuned import TunedVariant


def variants() -> tuple[Variant, ...]:
    """Return every variant of this package, in the order of `bench list`."""
    quantised = (Int8Variant(), StaticInt8Variant(), OpenVinoInt8Variant(), CTranslate2Int8Variant())
    rounded = (NativeVariant(), *quantised)
    # float32 last: what is left where nothing rounded is close enough
    fastest = FastestVariant((TunedVariant(), *rounded, openvino.VARIANTS[1], FusedVariant()))
    batched = (*pytorch.SORTED, *packed.VARIANTS, *captured.VARIANTS)
    streams = OpenVinoInt8Variant(
        "openvino-int8-throughput", "OpenVINO int8, requests side by side", hint="THROUGHPUT"
    )
    together = (streams, BatchedVariant(Int8Variant()), BatchedVariant(OpenVinoInt8Variant()))
    mine = (FusedVariant(), *rounded, TunedVariant(), CompiledInt8Variant(), *together, fastest)
    return (*mine, *EARLY_EXIT, *TOKENS, *pytorch.HALF_PRECISION, *batched)
