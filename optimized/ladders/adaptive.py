"""The ladder of adaptive inference on a model of the user, to compare cost at equal quality.

Every adaptive rung is the model of the first rung in the same precision. `half` is the alternative: a student
of half the depth that runs in full for every request. `all-tokens` drops nothing, so its gain comes from the
form of its graph; only the gain of `tokens` over it comes from dropped tokens. The last three rungs compare a
cascade with its stages on the fastest engine, where it can be compiled.
"""

from typing import Any

_STUDENT = {"student": "$student", "epochs": "$epochs", "learning_rate": "$learning_rate", "seed": "$seed"}
_EXITS = {"loss": "$loss", "steps": "$exit_steps", "seed": "$seed"}
_TOKENS = {"loss": "$loss", "steps": "$token_steps", "seed": "$seed"}
_FULL = "full"
_NATIVE = "native"

ADAPTIVE: dict[str, Any] = {
    "name": "adaptive",
    "parameters": {
        "student": "layers:half",
        "epochs": 4,
        "learning_rate": 5e-5,
        "seed": 0,
        "loss": 0.5,
        "exit_steps": 1500,
        "token_steps": 300,
    },
    "rungs": [
        {"name": _FULL, "engine": "onnx-int8", "about": "the model, every layer and token"},
        {
            "name": "half",
            "engine": "onnx-int8",
            "recipes": [{"distil": _STUDENT}],
            "over": _FULL,
            "about": "the rival: a student of half the depth",
        },
        {
            "name": "exits",
            "engine": "onnx-exits-int8",
            "options": _EXITS,
            "over": _FULL,
            "about": "early exit where the answer is probable enough",
        },
        {
            "name": "patience",
            "engine": "onnx-exits-int8",
            "options": {**_EXITS, "criterion": "patience"},
            "over": _FULL,
            "about": "early exit where classifiers in a row agree",
        },
        {
            "name": "all-tokens",
            "engine": "onnx-tokens-int8",
            "options": {"keep": "all", "steps": 0},
            "over": _FULL,
            "about": "the graph of token reduction, nothing dropped",
        },
        {
            "name": "tokens",
            "engine": "onnx-tokens-int8",
            "options": _TOKENS,
            "over": _FULL,
            "about": "tokens that get little attention dropped between layers",
        },
        {
            "name": "cascade",
            "cascade": ["half", _FULL],
            "options": {"loss": "$loss"},
            "over": _FULL,
            "about": "the student first, the model where it is unsure",
        },
        {
            "name": _NATIVE,
            "engine": "native-int8",
            "over": _FULL,
            "optional": True,
            "about": "the model in the compiled encoder",
        },
        {
            "name": "native-half",
            "engine": "native-int8",
            "recipes": [{"distil": _STUDENT}],
            "over": _NATIVE,
            "optional": True,
            "about": "the rival in the compiled encoder",
        },
        {
            "name": "native-cascade",
            "cascade": ["native-half", _NATIVE],
            "options": {"loss": "$loss"},
            "over": _NATIVE,
            "optional": True,
            "about": "the cascade of these two",
        },
    ],
}
"""The ladder. Use --rungs to leave out `tokens` for tasks with spans, and also `exits` for choices."""
