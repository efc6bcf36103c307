"""Where an engine's time goes, by its own profiler: operators sorted into the few classes of an encoder.

    linears, attention, normalisation, activation, rounding (quantise, dequantise), rest

Names are those of ONNX Runtime's nodes, of OpenVINO's executed layers and of PyTorch's operators. A kernel
that does two things counts as the larger: int8 products that round their own input as linears, ONNX Runtime's
fused attention, which holds the projections, as attention. What is done once (packing weights) is left out:
everything is answered once before.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

CLASSES = ("linears", "attention", "normalisation", "activation", "rounding", "rest")

_KINDS: Mapping[str, tuple[str, ...]] = {
    "rounding": ("quantizelinear", "fakequantize", "quantize_per", "dequantize", "choose_qparams"),
    "attention": ("softmax", "scaled_dot_product", "scaleddotproduct", "attention", "bmm", "mha"),
    "linears": ("matmul", "gemm", "linear", "addmm", "fullyconnected", "aten::mm"),
    "normalisation": ("layernorm", "layer_norm", "mvn"),
    "activation": ("gelu", "relu", "tanh", "erf", "silu"),
}
"""Pieces of operators' names in lower case, the first that fits; `dequantizelinear` is no linear map."""

_HEADS = ("self", "attention")
"""Modules of an encoder whose own operators, apart from maps with weights below them, are attention."""


def class_of(kind: str, name: str = "") -> str:
    """Return the class of an operator of this kind; `name` is the path of its node, where there is one."""
    parts = [part for part in name.split("/") if part and "Fusion" not in part]
    if len(parts) > 1 and parts[-2] in _HEADS and "quantize" not in kind.lower():
        return "attention"
    found = kind.lower()
    return next((each for each, words in _KINDS.items() if any(word in found for word in words)), "rest")


def by_class(operators: Iterable[tuple[str, str, float]]) -> dict[str, float]:
    """Return seconds by class of (kind, name, seconds), every class named."""
    seconds = dict.fromkeys(CLASSES, 0.0)
    for kind, name, spent in operators:
        seconds[class_of(kind, name)] += spent
    return seconds


def of_onnx(session: Any, answer: Callable[[Any], Any]) -> dict[str, float]:  # noqa: ANN401
    """Return seconds by class of what `answer` does with a session that was opened with its profiler on."""
    for _ in range(2):
        answer(session)
    path = Path(session.end_profiling())
    events = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    ran = [each for each in events if each.get("cat") == "Node" and each["name"].endswith("_kernel_time")]
    return by_class(
        (str(each["args"].get("op_name", "")), each["name"].removesuffix("_kernel_time"), each["dur"] / 1e6)
        for each in ran[len(ran) // 2 :]  # the second pass: both run the same nodes
    )


def scratch_prefix() -> str:
    """Return where ONNX Runtime may write a profile; whoever reads it removes it."""
    return str(Path(tempfile.gettempdir()) / "bench-onnx")


def of_openvino(request: Any) -> dict[str, float]:  # noqa: ANN401 -- an InferRequest
    """Return seconds by class of a request's last inference, of a model compiled with `PERF_COUNT`."""
    return by_class(
        (str(layer.node_type), str(layer.node_name), layer.real_time.total_seconds())
        for layer in request.profiling_info
    )


def torch_profile(work: Callable[[], Any]) -> dict[str, float]:
    """Return seconds by class of what PyTorch's operators took themselves while `work` was done."""
    from torch.profiler import ProfilerActivity, profile

    work()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    return by_class((str(event.key), "", event.self_cpu_time_total / 1e6) for event in seen.key_averages())
