"""The tested families of pretrained encoders, and what each engine cannot do with them.

`tests/baselines/checkpoints/test_families.py` builds a tiny random checkpoint of each and runs it with a
head, exported and in int8. Other families may work: preparation compares every exported graph with PyTorch
and refuses one that disagrees.
"""

_EVERYWHERE = "all heads, in PyTorch, ONNX fp32 and int8"
_UNFUSED = f"{_EVERYWHERE} (on the plain graph: the optimiser fuses no attention of it)"

FAMILIES: tuple[tuple[str, str, str | None], ...] = (
    ("bert", _EVERYWHERE, None),
    ("distilbert", _EVERYWHERE, None),
    ("electra", _EVERYWHERE, None),
    ("minilm", _EVERYWHERE, None),
    ("modernbert", _UNFUSED, None),
    ("mpnet", _UNFUSED, None),
    ("roberta", _EVERYWHERE, None),
    (
        "longformer",
        "PyTorch only",
        "the ONNX variants cannot run it: tracing bakes one length into its graph. Use a PyTorch variant.",
    ),
)
"""Name, what works, and the reason why the rest does not work (None if everything works)."""
