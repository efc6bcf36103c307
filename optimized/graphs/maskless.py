"""A graph without its attention mask: for calls without padding, where the mask lets everything through.

An exported encoder builds the mask from its inputs anew for every request, in a few dozen tiny nodes, and
adds it to the scores of every layer. Where nothing is padded, all of that computes zeros.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MASK = "attention_mask"
_FUSED = {"Attention": 3, "QAttention": 5}
"""ONNX Runtime's fused attentions, with the mask's place among their inputs."""


def without_mask(source: Path, target: Path) -> int:
    """Write the graph without mask to `target`; return in how many places it was used, 0 for none found.

    Nothing is written then. The mask stays an input of the graph only if something else reads it.
    """
    import onnx

    model = onnx.load(str(source))
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    places = sum(1 for _ in _cut(graph, makers))
    if places:
        _prune(graph, makers)
        onnx.save(model, str(target))
    return places


def _cut(graph: Any, makers: dict[str, Any]) -> Iterator[None]:  # noqa: ANN401 -- onnx has no types
    """Take the mask out of each place that adds it to scores or hands it to a fused attention."""
    for node in list(graph.node):
        at = _FUSED.get(node.op_type)
        if at is not None and len(node.input) > at and node.input[at]:
            node.input[at] = ""
            yield
        elif node.op_type == "EmbedLayerNormalization":  # counts the mask for the fused attentions
            node.input[:] = ["" if _only_mask(name, makers) else name for name in node.input]
        elif node.op_type == "Softmax":
            added = makers.get(node.input[0])
            if added is None or added.op_type != "Add":
                continue
            kept = [name for name in added.input if not _only_mask(name, makers)]
            if len(kept) == 1:
                node.input[0] = kept[0]
                yield


def _only_mask(name: str, makers: dict[str, Any]) -> bool:
    """Say whether a tensor is made from the mask, and from no product of the encoder's."""
    seen: set[str] = set()
    waiting, mask = [name], False
    while waiting:
        each = waiting.pop()
        mask = mask or each == _MASK
        node = makers.get(each)
        if node is None or each in seen or node.op_type == "Shape":  # a shape is no value of what has it
            continue
        if "MatMul" in node.op_type or node.op_type in ("Gemm", "LayerNormalization"):
            return False
        seen.add(each)
        waiting += node.input
    return mask


def _prune(graph: Any, makers: dict[str, Any]) -> None:  # noqa: ANN401
    """Drop nodes and inputs that nothing reads any more."""
    needed: set[str] = set()
    waiting = [each.name for each in graph.output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += makers[name].input if name in makers else ()
    kept = [node for node in graph.node if needed.intersection(node.output)]
    inputs = [each for each in graph.input if each.name in needed or each.name != _MASK]
    del graph.node[:], graph.input[:]
    graph.node.extend(kept)
    graph.input.extend(inputs)
