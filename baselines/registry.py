"""The table of the plain variants; loading it imports neither torch, transformers nor onnxruntime."""

from baselines.engines import ctranslate2, openvino, pytorch, torch_compile
from baselines.engines.null import NullVariant
from baselines.engines.onnx.cuda import OnnxCudaVariant
from baselines.engines.onnx.runtime import OnnxVariant
from baselines.engines.program.external_program import ProgramVariant
from baselines.servers.variant import ServerVariant, null_server
from harness.systems.interface import Variant


def variants() -> tuple[Variant, ...]:
    """Return all variants of this package, in the order of `bench list`."""
    other_engines = (*torch_compile.VARIANTS, *openvino.VARIANTS, *ctranslate2.VARIANTS)
    return (
        *pytorch.VARIANTS,
        OnnxVariant(),
        OnnxCudaVariant(),
        *other_engines,
        NullVariant(),
        ProgramVariant(),
        ServerVariant(null_server(), summary="a server that answers at once; measures client and transport"),
    )
