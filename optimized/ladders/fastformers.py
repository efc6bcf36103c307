"""FastFormers' ladder (Kim and Hassan Awadalla 2020, Table 3) for a model of the user.

It has the same seven rungs. `student` takes the place of the paper's 4-layer student of BERT-base: a
checkpoint by name, or every second layer of the model itself. Pruned students are distilled again from the
first model of the chain.
"""

from typing import Any

_STUDENT = {"student": "$student", "epochs": "$epochs", "learning_rate": "$learning_rate", "seed": "$seed"}
_DISTIL_AGAIN = {**_STUDENT, "student": "last"}

FASTFORMERS: dict[str, Any] = {
    "name": "fastformers",
    "parameters": {"student": "layers:half", "epochs": 4, "learning_rate": 5e-5, "seed": 0},
    "rungs": [
        {"name": "fixed", "engine": "pytorch-fixed", "about": "PyTorch fp32, padded to the maximum length"},
        {"name": "dynamic", "engine": "pytorch-dynamic", "about": "PyTorch fp32, no padding"},
        {
            "name": "distilled",
            "engine": "pytorch-dynamic",
            "recipes": [{"distil": _STUDENT}],
            "about": "the student, taught by the model",
        },
        {"name": "int8", "like": "distilled", "engine": "onnx-int8", "about": "ONNX Runtime dynamic int8"},
        {"name": "multi-instance", "like": "int8", "instances": "cores", "about": "a process for each core"},
        {
            "name": "pruned-75-75",
            "like": "multi-instance",
            "then": [{"prune": {"heads": 0.75, "ffn": 0.75}}, {"distil": _DISTIL_AGAIN}],
            "over": "multi-instance",
            "about": "25 % of heads and 25 % of FFN units pruned",
        },
        {
            "name": "pruned-67-50",
            "like": "multi-instance",
            "then": [{"prune": {"heads": 0.67, "ffn": 0.5}}, {"distil": _DISTIL_AGAIN}],
            "over": "multi-instance",
            "about": "33 % of heads and 50 % of FFN units pruned",
        },
    ],
}
