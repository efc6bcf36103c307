"""The GPU ladders: padding, precision, distillation and pruning, then packed batches or CUDA graphs.

Rungs named `-packed` are for the scenario `offline`, where all requests are available at once; rungs named
`-graphs` are for `single-stream`, where they come one at a time. `gpu` starts from a model of the user.
`paper-gpu` has the shapes of FastFormers (Kim and Hassan Awadalla 2020) with random weights, so it measures
speed and energy only.
"""

from typing import Any

from optimized.ladders.paper import shape_of

_STUDENT = {"student": "$student", "epochs": "$epochs", "learning_rate": "$learning_rate", "seed": "$seed"}
_DISTIL_AGAIN = {**_STUDENT, "student": "last"}

_PACKED, _GRAPHS = "pytorch-packed-fp16", "pytorch-graphs-fp16"


def _packed_and_graphs(name: str) -> list[dict[str, Any]]:
    """Return the rungs that run the model of rung `name` packed and in CUDA graphs."""
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
        *_packed_and_graphs("fp16"),
        {
            "name": "distilled",
            "engine": "pytorch-fp16",
            "recipes": [{"distil": _STUDENT}],
            "over": "fp16",
            "about": "the student, taught by the model",
        },
        *_packed_and_graphs("distilled"),
        {
            "name": "pruned",
            "like": "distilled",
            "then": [{"prune": {"heads": 0.75, "ffn": 0.75}}, {"distil": _DISTIL_AGAIN}],
            "over": "distilled",
            "about": "25 % of heads and 25 % of FFN units pruned",
        },
        *_packed_and_graphs("pruned"),
    ],
}
"""The ladder for a model of the user. Optional rungs are left out where their engine cannot run."""

PAPER_GPU: dict[str, Any] = {
    "name": "paper-gpu",
    "rungs": [
        *_FLOAT32,
        *_ENGINES,
        *_packed_and_graphs("fp16"),
        {
            "name": "4L-312",
            "engine": "pytorch-fp16",
            "recipes": shape_of("4L-312"),
            "over": "fp16",
            "about": "a student of 4 layers, 312 wide",
        },
        *_packed_and_graphs("4L-312"),
        {
            "name": "8h-600",
            "engine": "pytorch-fp16",
            "recipes": shape_of("4L-312-8h-600"),
            "over": "4L-312",
            "about": "33 % of heads and 50 % of FFN units pruned, ReLU",
        },
        *_packed_and_graphs("8h-600"),
    ],
}
"""The ladder of the paper's shapes. It starts from `shape:12L-768` with 512 tokens."""
