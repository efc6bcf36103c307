"""Removes the attention mask from a graph, for calls without padding, where the mask has no effect.

An exported encoder builds the mask from its inputs for every request, in a few dozen small nodes, and adds it
to the scores of every layer. Without padding, all of these nodes compute zeros.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_MASK = "attention_mask"
_FUSED = {"Attention": 3, "QAttention": 5}
"""ONNX Runtime's fused attentions, with the mask's position among their inputs."""


def without_mask(source: Path, target: Path) -> int:
    """Write the graph without mask to `target`; return the number of nodes that used it.

    If that is 0, no file is written. The mask stays an input of the graph only if another node reads it.
    """
    import onnx

    model = onnx.load(str(source))
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    uses = sum(1 for _ in _remove_mask(graph, producers))
    if uses:
        _prune(graph, producers)
        onnx.save(model, str(target))
    return uses


def _remove_mask(graph: "onnx.GraphProto", producers: "Mapping[str, onnx.NodeProto]") -> Iterator[None]:
    """Remove the mask from each node that adds it to scores or passes it to a fused attention."""
    for node in list(graph.node):
        position = _FUSED.get(node.op_type)
        if position is not None and len(node.input) > position and node.input[position]:
            node.input[position] = ""
            yield
        elif node.op_type == "EmbedLayerNormalization":  # counts the mask for the fused attentions
            node.input[:] = ["" if _only_mask(name, producers) else name for name in node.input]
        elif node.op_type == "Softmax":
            added = producers.get(node.input[0])
            if added is None or added.op_type != "Add":
                continue
            scores = [name for name in added.input if not _only_mask(name, producers)]
            if len(scores) == 1:
                node.input[0] = scores[0]
                yield


def _only_mask(name: str, producers: "Mapping[str, onnx.NodeProto]") -> bool:
    """Return whether a tensor is computed from the mask, and from no product of the encoder."""
    visited: set[str] = set()
    pending, mask = [name], False
    while pending:
        tensor = pending.pop()
        mask = mask or tensor == _MASK
        node = producers.get(tensor)
        if node is None or tensor in visited or node.op_type == "Shape":  # a shape carries none of the values
            continue
        if "MatMul" in node.op_type or node.op_type in ("Gemm", "LayerNormalization"):
            return False
        visited.add(tensor)
        pending += node.input
    return mask


def _prune(graph: "onnx.GraphProto", producers: "Mapping[str, onnx.NodeProto]") -> None:
    """Remove nodes and inputs that no output depends on."""
    needed: set[str] = set()
    pending = [output.name for output in graph.output]
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += producers[name].input if name in producers else ()
    nodes = [node for node in graph.node if needed.intersection(node.output)]
    inputs = [value for value in graph.input if value.name in needed or value.name != _MASK]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)
