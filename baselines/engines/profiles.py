"""Time by class of operator, from an engine's own profiler.

    linears, attention, normalisation, activation, rounding (quantise, dequantise), rest

Operators are classified by the names of ONNX Runtime's nodes, OpenVINO's executed layers and PyTorch's
operators. A fused kernel counts as its larger part: an int8 product that quantises its own input is a linear
layer, ONNX Runtime's fused attention, which contains the projections, is attention. Every profile runs the
requests once before it is recorded, so that work done only once (packing of weights) is left out.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from openvino import InferRequest

CLASSES = ("linears", "attention", "normalisation", "activation", "rounding", "rest")

_PATTERNS: Mapping[str, tuple[str, ...]] = {
    "rounding": ("quantizelinear", "fakequantize", "quantize_per", "dequantize", "choose_qparams"),
    "attention": ("softmax", "scaled_dot_product", "scaleddotproduct", "attention", "bmm", "mha"),
    "linears": ("matmul", "gemm", "linear", "addmm", "fullyconnected", "aten::mm"),
    "normalisation": ("layernorm", "layer_norm", "mvn"),
    "activation": ("gelu", "relu", "tanh", "erf", "silu"),
}
"""Parts of operators' names in lower case; the first class that matches counts.

Rounding comes first, since `dequantizelinear` contains `linear`.
"""

_ATTENTION_MODULES = ("self", "attention")
"""Modules whose own operators are attention; their linear layers are modules below them."""


def operator_class(kind: str, name: str = "") -> str:
    """Return the class of an operator of this kind; `name` is the path of its node in a graph, if any."""
    parts = [part for part in name.split("/") if part and "Fusion" not in part]
    if len(parts) > 1 and parts[-2] in _ATTENTION_MODULES and "quantize" not in kind.lower():
        return "attention"
    lowered = kind.lower()
    matching = (label for label, patterns in _PATTERNS.items() if any(part in lowered for part in patterns))
    return next(matching, "rest")


def seconds_by_class(operators: Iterable[tuple[str, str, float]]) -> dict[str, float]:
    """Return the sum of seconds of (kind, name, seconds) for every class."""
    totals = dict.fromkeys(CLASSES, 0.0)
    for kind, name, seconds in operators:
        totals[operator_class(kind, name)] += seconds
    return totals


def onnx_profile(
    session: "InferenceSession", work: "Callable[[InferenceSession], object]"
) -> dict[str, float]:
    """Return seconds by class while `work` runs with a session that was opened with its profiler on."""
    for _ in range(2):
        work(session)
    path = Path(session.end_profiling())
    events = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    nodes = [
        event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]
    return seconds_by_class(
        (
            str(node["args"].get("op_name", "")),
            node["name"].removesuffix("_kernel_time"),
            node["dur"] / 1e6,
        )
        for node in nodes[len(nodes) // 2 :]  # the second of two equal passes
    )


def profile_prefix() -> str:
    """Return the path prefix at which ONNX Runtime writes a profile; `onnx_profile` removes the file."""
    return str(Path(tempfile.gettempdir()) / "bench-onnx")


def openvino_profile(request: "InferRequest") -> dict[str, float]:
    """Return seconds by class of a request's last inference; its model was compiled with `PERF_COUNT`."""
    return seconds_by_class(
        (str(layer.node_type), str(layer.node_name), layer.real_time.total_seconds())
        for layer in request.profiling_info
    )


def torch_profile(work: Callable[[], object]) -> dict[str, float]:
    """Return seconds by class of PyTorch's operators, each without those it calls, while `work` runs."""
    from torch.profiler import ProfilerActivity, profile

    work()
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:  # else 2.11 warns
        work()
    return seconds_by_class(
        (str(event.key), "", event.self_cpu_time_total / 1e6) for event in profiler.key_averages()
    )
