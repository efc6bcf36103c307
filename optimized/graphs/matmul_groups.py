"""The matrix products of an exported graph by name, so that some of them can be left in float.

A product with weights belongs to a group: `layer.3.attention`, `layer.0.ffn`, `pooler`, `classifier`. The
groups are read off the names that the exporter takes from the modules, so they are the same in the raw graph
and in the fused one, where query, key and value have become one node.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.common.errors import UsageError, unknown_name

AUTO = re.compile(r"auto:([1-9]\d*)")
"""The name that stands for the so many groups that int8 changes most."""

_LAYER = re.compile(r"/layers?\.(\d+)/(\w+)")
# parts of a module's path that say nothing about where it is
_PLAIN = ("", "model", "dense", "out_proj")


def as_names(given: Any) -> tuple[str, ...]:  # noqa: ANN401 -- whatever a ladder holds
    """Return one name or several as a tuple; UsageError for anything else, as `auto` without a number."""
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Sequence) else (given,)
    for name in names:
        if not isinstance(name, str) or not name or (name.startswith("auto") and not AUTO.fullmatch(name)):
            raise UsageError(
                f"keep_float names operators, and {name!r} is no such name.",
                remedy="Name groups such as layer.0.ffn, or auto:2 for the two that int8 changes most.",
            )
    return names


def products(graph: Path) -> dict[str, str]:
    """Return the graph's matrix products with weights: the name of the node, and the group it belongs to."""
    import onnx

    found = onnx.load(str(graph), load_external_data=False).graph
    weights = {tensor.name for tensor in found.initializer}
    kinds = ("MatMul", "Gemm", "Attention")
    nodes = [node for node in found.node if node.op_type in kinds and node.input[1] in weights]
    # a node that the optimiser made has no path in its name, but its output kept the one it had
    return {node.name: group_of(node.name if "/" in node.name else node.output[0]) for node in nodes}


def group_of(path: str) -> str:
    """Return the group of a node with this path: `/model/bert/encoder/layer.0/output/dense/MatMul`."""
    found = _LAYER.search(path)
    if found:
        return f"layer.{found[1]}.{'attention' if 'att' in found[2] else 'ffn'}"
    parts = [part for part in path.split("/")[:-1] if part not in _PLAIN]
    return parts[-1] if parts else path


def chosen(known: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return the nodes that the names stand for: a node, a group, or groups by their common beginning.

    `known` is what `products` found. UsageError for a name that stands for none, with the nearest ones.
    """
    nodes: dict[str, None] = {}
    for name in names:
        found = [node for node, group in known.items() if name == node or f"{group}.".startswith(f"{name}.")]
        if not found:
            raise unknown_name("operator", name, known if name.startswith("/") else set(known.values()))
        nodes.update(dict.fromkeys(found))
    return list(nodes)
