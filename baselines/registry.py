"""The table of plain variants: one line each. Loading it imports no torch, transformers or onnxruntime."""

from baselines import compiled, ctranslate2, openvino, pytorch
from baselines.null import NullVariant
from baselines.onnx import OnnxVariant
from baselines.onnx_cuda import OnnxCudaVariant
from baselines.program import ProgramVariant
from harness.system import Variant


def variants() -> tuple[Variant, ...]:
    """Return every variant of this package, in the order of `bench list`."""
    rivals = (*compiled.VARIANTS, *openvino.VARIANTS, *ctranslate2.VARIANTS)
    return (*pytorch.VARIANTS, OnnxVariant(), OnnxCudaVariant(), *rivals, NullVariant(), ProgramVariant())
