"""The ladder of all engines on the same model, each with its best settings.

Each engine runs in one process with all threads, and as a pool with one single-threaded process for each
core. The rungs `fastest` use the engine that was fastest when they were prepared.
"""

from typing import Any

_ENGINES = {
    "pytorch-dynamic": "PyTorch fp32, no padding",
    "pytorch-bf16": "PyTorch bfloat16",
    "pytorch-compiled-bf16": "torch.compile, bfloat16 autocast, frozen",
    "pytorch-compiled": "torch.compile fp32, frozen",
    "pytorch-int8": "PyTorch's own dynamic int8",
    "pytorch-compiled-int8": "torch.compile int8 (PT2E), scales from training examples",
    "onnx-fp32": "ONNX Runtime fp32",
    "onnx-int8-static": "ONNX Runtime static int8",
    "onnx-int8": "ONNX Runtime dynamic int8, raw or fused",
    "onnx-int8-tuned": "the same in the session that is fastest here: mask, arena, spinning, binding",
    "openvino-fp32": "OpenVINO fp32",
    "openvino-bf16": "OpenVINO bfloat16",
    "openvino-int8": "OpenVINO int8 (NNCF)",
    "openvino-fp32-throughput": "OpenVINO fp32, throughput hint",
    "openvino-bf16-throughput": "OpenVINO bfloat16, throughput hint",
    "openvino-int8-throughput": "OpenVINO int8, throughput hint",
    "ctranslate2-fp32": "CTranslate2 fp32",
    "ctranslate2-int8": "CTranslate2 int8, a scale a token",
    "native-int8": "this project's own compiled encoder",
}
_BASE = "pytorch-fixed"

RIVALS: dict[str, Any] = {
    "name": "rivals",
    "roofline": True,
    "rungs": [
        {"name": _BASE, "engine": _BASE, "about": "PyTorch fp32, every request padded to the maximum length"},
        *(
            {"name": name, "engine": name, "over": _BASE, "about": about, "optional": True}
            for name, about in _ENGINES.items()
        ),
        {"name": "fastest", "engine": "fastest", "over": _BASE, "about": "the fastest of them, by trial"},
        *(
            {
                "name": f"{name}-pool",
                "like": name,
                "instances": "cores",
                "over": _BASE,
                "about": "a process a core",
            }
            for name in (*_ENGINES, "fastest")
            if not name.endswith("-throughput")  # one thread has one stream
        ),
    ],
}
"""The ladder. Engines that are not installed are left out, with the command that installs them."""
