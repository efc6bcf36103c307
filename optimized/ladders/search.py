"""The default ladder of `bench search`: first the rungs without training, then those that train.

All rungs are compared with the baseline. All but the baseline run one process for each core.
"""

from typing import Any

_STUDENT = {"student": "$student", "epochs": "$epochs", "learning_rate": "$learning_rate", "seed": "$seed"}
_DISTIL_AGAIN = {**_STUDENT, "student": "last"}
_BASE = "fixed"


def _pruned(heads: float, ffn: float, like: str) -> list[dict[str, Any]]:
    then = [{"prune": {"heads": heads, "ffn": ffn}}, {"distil": _DISTIL_AGAIN}]
    name = f"pruned-{heads * 100:.0f}-{ffn * 100:.0f}" + ("-student" if like != "int8" else "")
    about = f"{like}, {heads:.0%} of heads and {ffn:.0%} of FFN units kept"
    return [{"name": name, "like": like, "then": then, "over": _BASE, "about": about}]


SEARCH: dict[str, Any] = {
    "name": "search",
    "parameters": {"student": "layers:half", "epochs": 4, "learning_rate": 5e-5, "seed": 0},
    "rungs": [
        {"name": _BASE, "engine": "pytorch-fixed", "about": "PyTorch fp32, padded to the maximum length"},
        {"name": "fp32", "engine": "onnx-fp32", "instances": "cores", "over": _BASE, "about": "ONNX Runtime"},
        {"name": "int8", "like": "fp32", "engine": "onnx-int8", "over": _BASE, "about": "dynamic int8"},
        {
            "name": "int8-keep-2",
            "like": "int8",
            "options": {"keep_float": "auto:2"},
            "over": _BASE,
            "about": "dynamic int8, the two most sensitive groups left in float",
        },
        *_pruned(0.75, 0.75, "int8"),
        *_pruned(0.67, 0.5, "int8"),
        {
            "name": "student",
            "like": "int8",
            "recipes": [{"distil": _STUDENT}],
            "over": _BASE,
            "about": "a smaller model, taught by the model",
        },
        *_pruned(0.75, 0.75, "student"),
        *_pruned(0.67, 0.5, "student"),
    ],
}
