"""What is done to an ONNX graph: int8 weights, scales from calibration, fused nodes.

Of what ONNX Runtime offers, the choices here are those that were better when tried; docs/int8.md has figures.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from baselines.checkpoints.artifacts import cpu_flags
from baselines.encoding.batching import Padded
from baselines.models.transformers_settings import quiet_logging
from optimized.graphs.matmul_groups import products

# with these the CPU sums products of 8-bit numbers in 32 bits; without, AVX2 sums pairs in 16 and saturates
_WIDE_SUMS = frozenset(("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"))


def needs_seven_bits() -> bool:
    """Say whether weights must keep to 7 bits on this CPU, so that sums of products do not overflow."""
    return not _WIDE_SUMS.intersection(cpu_flags())


def quantise(source: Path, target: Path, *, reduce_range: bool, keep: Sequence[str] = ()) -> None:
    """Write the graph with int8 matrix products, per channel; activations get their scales as they come.

    `reduce_range` keeps weights to 7 bits; the nodes in `keep` stay float.
    """
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet_logging():
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul", "Attention"],
            per_channel=True,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_as_quantised(keep),
            # activations against activations stay float; types after a fused node are not inferred but known
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},
        )


def quantise_static(
    source: Path, target: Path, inputs: Iterator[Padded], *, reduce_range: bool, keep: Sequence[str] = ()
) -> None:
    """Write the graph with int8 matrix products whose activations have scales from calibration.

    The scales span the least and the largest value that each input of a product takes over `inputs`. What a
    product gives stays float, as do products of one token each (pooler and head), which ONNX has as Gemm.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    rounded = [node for node in products(source) if node not in keep]
    with quiet_logging():
        quantize_static(
            source,
            target,
            _Calibration(source, inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,  # with signed ones x86 has no fast kernel
            weight_type=QuantType.QInt8,
            # by name, since MatMulConstBOnly is not heard here: activations against activations stay float
            nodes_to_quantize=rounded,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
    _restore_float(target, rounded)


def fuse(source: Path, target: Path, config: Mapping[str, Any]) -> dict[str, int]:
    """Write the graph as ONNX Runtime's transformer optimiser fuses it; return its fused nodes by kind.

    The counts hold no Attention where the family's graph does not match the optimiser's patterns for BERT.
    Pruned shapes are fused too, and layers may have different head counts.
    """
    from onnxruntime.transformers.optimizer import optimize_model

    size = _head_size(config)
    with quiet_logging():
        # the graphs of transformers 5 leave the head count open (-1), so the optimiser believes what it is
        # told, if heads x head size fits: one head always does, and each layer's own count is set below
        model = optimize_model(
            str(source),
            model_type="bert",
            num_heads=min(size, 1),
            hidden_size=size,
            opt_level=0,
            use_gpu=False,
        )
        if size:
            _set_heads(model.model.graph, size)
        model.save_model_to_file(str(target))
    return {kind: count for kind, count in model.get_fused_operator_statistics().items() if count}


def _head_size(config: Mapping[str, Any]) -> int:
    """Return the head size, or 0 where the configuration does not say; DistilBERT has names of its own."""
    if config.get("attention_head_size"):
        return int(config["attention_head_size"])
    hidden = config.get("hidden_size", config.get("dim", 0))
    heads = config.get("num_attention_heads", config.get("n_heads", 0))
    return int(hidden // heads) if heads else 0


def _set_heads(graph: Any, head_size: int) -> None:  # noqa: ANN401 -- onnx has no types
    """Give each attention node as many heads as its weights, [hidden, query + key + value], have room for."""
    widths = {tensor.name: tensor.dims[-1] for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Attention":
            heads = next(each for each in node.attribute if each.name == "num_heads")
            heads.i = widths[node.input[1]] // 3 // head_size


def _restore_float(graph: Path, rounded: Sequence[str]) -> None:
    """Let all but the rounded products read what was there before rounding.

    The quantiser gives a rounded activation to whatever reads it: to the residual connection, and to products
    that stay in float, whose error would then be int8's all the same.
    """
    import onnx

    model = onnx.load(str(graph))
    rounds = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    exact = {
        node.output[0]: rounds[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in rounds
    }
    for node in model.graph.node:
        if node.name not in rounded:
            node.input[:] = [exact.get(name, name) for name in node.input]
    onnx.save(model, str(graph))


def _as_quantised(nodes: Sequence[str]) -> list[str]:
    """Return the names as the quantiser sees them: it turns Gemm into MatMul before it looks."""
    return [name for node in nodes for name in (node, f"{node}_MatMul")]


class _Calibration:
    """Padded inputs in the form in which ONNX Runtime asks for calibration data."""

    def __init__(self, graph: Path, inputs: Iterator[Padded]) -> None:
        import onnx

        loaded = onnx.load(str(graph), load_external_data=False).graph
        self._names = [each.name for each in loaded.input]
        self._inputs = inputs

    def get_next(self) -> dict[str, Any] | None:
        """Return the next input by name, or None after the last."""
        padded = next(self._inputs, None)
        return None if padded is None else {name: padded.arrays()[name] for name in self._names}
