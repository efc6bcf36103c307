"""The table of optimised variants: one line each. Loading it imports no torch or onnxruntime."""

from baselines.engines import openvino, pytorch
from harness.systems.interface import Variant
from optimized.adaptive.early_exit.variant import EARLY_EXIT
from optimized.adaptive.token_dropping.variant import TOKENS
from optimized.batching import cuda_graphs, packed
from optimized.batching.batched import BatchedVariant
from optimized.fastest import FastestVariant
from optimized.graphs.fused import FusedVariant
from optimized.native.variant import NativeVariant
from optimized.quantization.ctranslate2_int8 import CTranslate2Int8Variant
from optimized.quantization.onnx_dynamic import Int8Variant
from optimized.quantization.onnx_static import StaticInt8Variant
from optimized.quantization.onnx_tuned import TunedVariant
from optimized.quantization.openvino_int8 import OpenVinoInt8Variant
from optimized.quantization.torch_int8 import CompiledInt8Variant


def variants() -> tuple[Variant, ...]:
    """Return every variant of this package, in the order of `bench list`."""
    quantised = (Int8Variant(), StaticInt8Variant(), OpenVinoInt8Variant(), CTranslate2Int8Variant())
    rounded = (NativeVariant(), *quantised)
    # float32 last: what is left where nothing rounded is close enough
    fastest = FastestVariant((TunedVariant(), *rounded, openvino.VARIANTS[1], FusedVariant()))
    batched = (*pytorch.SORTED, *packed.VARIANTS, *cuda_graphs.VARIANTS)
    streams = OpenVinoInt8Variant(
        "openvino-int8-throughput", "OpenVINO int8, requests side by side", hint="THROUGHPUT"
    )
    together = (streams, BatchedVariant(Int8Variant()), BatchedVariant(OpenVinoInt8Variant()))
    mine = (FusedVariant(), *rounded, TunedVariant(), CompiledInt8Variant(), *together, fastest)
    return (*mine, *EARLY_EXIT, *TOKENS, *pytorch.HALF_PRECISION, *batched)
