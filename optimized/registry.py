"""The registry of optimised variants. Importing it loads neither torch nor onnxruntime."""

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
    """Return all variants of this package, in the order of `bench list`."""
    generic = (Int8Variant(), StaticInt8Variant(), OpenVinoInt8Variant(), CTranslate2Int8Variant())
    int8 = (NativeVariant(), *generic)
    # float32 last: kept where no int8 engine is close enough
    fastest = FastestVariant((TunedVariant(), *int8, openvino.VARIANTS[1], FusedVariant()))
    packed_and_sorted = (*pytorch.SORTED, *packed.VARIANTS, *cuda_graphs.VARIANTS)
    throughput = OpenVinoInt8Variant(
        "openvino-int8-throughput", "OpenVINO int8, requests side by side", hint="THROUGHPUT"
    )
    batched = (throughput, BatchedVariant(Int8Variant()), BatchedVariant(OpenVinoInt8Variant()))
    onnx_and_int8 = (FusedVariant(), *int8, TunedVariant(), CompiledInt8Variant(), *batched, fastest)
    return (*onnx_and_int8, *EARLY_EXIT, *TOKENS, *pytorch.HALF_PRECISION, *packed_and_sorted)
