"""The table of plain variants: one line each. Loading it imports no torch, transformers or onnxruntime."""

from baselines.engines import ctranslate2, openvino, pytorch, torch_compile
from baselines.engines.external_program import ProgramVariant
from baselines.engines.null import NullVariant
from baselines.engines.onnx.cuda import OnnxCudaVariant
from baselines.engines.onnx.runtime import OnnxVariant
from harness.systems.interface import Variant


def variants() -> tuple[Variant, ...]:
    """Return every variant of this package, in the order of `bench list`."""
    rivals = (*torch_compile.VARIANTS, *openvino.VARIANTS, *ctranslate2.VARIANTS)
    return (*pytorch.VARIANTS, OnnxVariant(), OnnxCudaVariant(), *rivals, NullVariant(), ProgramVariant())
