"""The pretrained families that are tested, and what an engine cannot do with them.

Each is held by `tests/baselines/checkpoints/test_families.py` with a tiny random checkpoint, through head,
export and
int8. Others may work: preparation checks every graph against PyTorch and refuses one that disagrees.
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
"""Name, what works, and what does not with the reason."""
