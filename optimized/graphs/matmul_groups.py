"""Groups the matrix products of an exported graph by name, so that some of them can stay in float.

A product with weights belongs to a group: `layer.3.attention`, `layer.0.ffn`, `pooler`, `classifier`. The
groups come from the names that the exporter takes from the modules, so they are the same in the raw graph and
in the fused one, where query, key and value are one node.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.common.errors import UsageError, unknown_name
from harness.common.json_types import JsonValue

AUTO = re.compile(r"auto:([1-9]\d*)")
"""Selects the N groups that int8 changes most."""

_LAYER = re.compile(r"/layers?\.(\d+)/(\w+)")
# parts of a module's path that do not help to locate it
_GENERIC = ("", "model", "dense", "out_proj")


def as_names(value: JsonValue) -> tuple[str, ...]:
    """Return one name or several as a tuple; UsageError for other values, such as `auto` without a number."""
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else (value,)
    for name in names:
        if not isinstance(name, str) or not name or (name.startswith("auto") and not AUTO.fullmatch(name)):
            raise UsageError(
                f"keep_float must name operators or be auto:N, got {name!r}.",
                remedy="Name groups such as layer.0.ffn, or auto:2 for the two that int8 changes most.",
            )
    return names


def matmul_groups(graph: Path) -> dict[str, str]:
    """Return the group of each matrix product with weights, by the name of its node."""
    import onnx

    loaded = onnx.load(str(graph), load_external_data=False).graph
    weights = {tensor.name for tensor in loaded.initializer}
    operators = ("MatMul", "Gemm", "Attention")
    nodes = [node for node in loaded.node if node.op_type in operators and node.input[1] in weights]
    # a node that the optimiser made has no path in its name, but its output kept the original path
    return {node.name: group_of(node.name if "/" in node.name else node.output[0]) for node in nodes}


def group_of(path: str) -> str:
    """Return the group of a node with this path: `/model/bert/encoder/layer.0/output/dense/MatMul`."""
    layer = _LAYER.search(path)
    if layer:
        return f"layer.{layer[1]}.{'attention' if 'att' in layer[2] else 'ffn'}"
    parts = [part for part in path.split("/")[:-1] if part not in _GENERIC]
    return parts[-1] if parts else path


def select_nodes(groups: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return the nodes that the names select: a node, a group, or all groups with a common prefix.

    `groups` comes from `matmul_groups`. UsageError for a name that selects no node, with the nearest names.
    """
    selected: dict[str, None] = {}
    for name in names:
        nodes = [node for node, group in groups.items() if name == node or f"{group}.".startswith(f"{name}.")]
        if not nodes:
            raise unknown_name("operator", name, groups if name.startswith("/") else set(groups.values()))
        selected.update(dict.fromkeys(nodes))
    return list(selected)
