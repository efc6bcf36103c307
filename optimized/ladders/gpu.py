"""The GPU ladders: padding, precision, distillation and pruning, then no padding at all, or CUDA graphs.

Rungs in `-packed` are for `offline`, where requests come together; rungs in `-graphs` for `single-stream`,
where they come one at a time. `gpu` starts from a model of the user's own; `paper-gpu` has the shapes of
FastFormers (Kim and Hassan Awadalla 2020) without their training, so what it measures is speed and energy.
"""

from typing import Any

from optimized.ladders.paper import shape_of

_STUDENT = {"student": "$student", "epochs": "$epochs", "learning_rate": "$learning_rate", "seed": "$seed"}
_AGAIN = {**_STUDENT, "student": "last"}

_PACKED, _GRAPHS = "pytorch-packed-fp16", "pytorch-graphs-fp16"


def _in_each(name: str) -> list[dict[str, Any]]:
    """Return a model's two further rungs: packed, and in CUDA graphs."""
    return [
        {
            "name": f"{name}-packed",
            "like": name,
            "engine": _PACKED,
            "over": name,
            "about": "no padding at all",
        },
        {"name": f"{name}-graphs", "like": name, "engine": _GRAPHS, "over": name, "about": "CUDA graphs"},
    ]


_FLOAT32 = [
    {"name": "fixed", "engine": "pytorch-fixed", "about": "PyTorch fp32, padded to the maximum length"},
    {
        "name": "dynamic",
        "engine": "pytorch-dynamic",
        "about": "PyTorch fp32, padded to the longest of a batch",
    },
]
_ENGINES = [
    {"name": "onnx", "engine": "onnx-cuda", "over": "dynamic", "about": "ONNX Runtime", "optional": True},
    {"name": "bf16", "engine": "pytorch-bf16", "over": "dynamic", "about": "16 bits, 8 of them mantissa"},
    {"name": "fp16", "engine": "pytorch-fp16", "over": "dynamic", "about": "16 bits, 11 of them mantissa"},
    {
        "name": "compiled",
        "engine": "pytorch-compiled-bf16",
        "over": "bf16",
        "about": "torch.compile",
        "optional": True,
    },
    {"name": "sorted", "engine": "pytorch-sorted-fp16", "over": "fp16", "about": "batches sorted by length"},
    {"name": "bf16-packed", "engine": "pytorch-packed-bf16", "over": "bf16", "about": "no padding at all"},
]

GPU: dict[str, Any] = {
    "name": "gpu",
    "parameters": {"student": "layers:half", "epochs": 4, "learning_rate": 5e-5, "seed": 0},
    "rungs": [
        *_FLOAT32,
        *_ENGINES,
        *_in_each("fp16"),
        {
            "name": "distilled",
            "engine": "pytorch-fp16",
            "recipes": [{"distil": _STUDENT}],
            "over": "fp16",
            "about": "the student, taught by the model",
        },
        *_in_each("distilled"),
        {
            "name": "pruned",
            "like": "distilled",
            "then": [{"prune": {"heads": 0.75, "ffn": 0.75}}, {"distil": _AGAIN}],
            "over": "distilled",
            "about": "25 % of heads and 25 % of FFN units pruned",
        },
        *_in_each("pruned"),
    ],
}
"""As data; what is optional is left out where its engine cannot run."""

PAPER_GPU: dict[str, Any] = {
    "name": "paper-gpu",
    "rungs": [
        *_FLOAT32,
        *_ENGINES,
        *_in_each("fp16"),
        {
            "name": "4L-312",
            "engine": "pytorch-fp16",
            "recipes": shape_of("4L-312"),
            "over": "fp16",
            "about": "a student of 4 layers, 312 wide",
        },
        *_in_each("4L-312"),
        {
            "name": "8h-600",
            "engine": "pytorch-fp16",
            "recipes": shape_of("4L-312-8h-600"),
            "over": "4L-312",
            "about": "33 % of heads and 50 % of FFN units pruned, ReLU",
        },
        *_in_each("8h-600"),
    ],
}
"""As data; it starts from `shape:12L-768` with 512 tokens."""
