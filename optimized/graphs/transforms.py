"""Transformations of an ONNX graph: int8 weights, scales from calibration, fused nodes.

The options of ONNX Runtime were chosen by measurement; docs/explanation/int8.md has the figures.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.checkpoints.artifacts import cpu_flags
from baselines.encoding.batching import Padded
from baselines.models.transformers_settings import quiet_logging
from harness.common.json_types import JsonObject
from optimized.graphs.matmul_groups import matmul_groups

if TYPE_CHECKING:
    import onnx

    from harness.systems.interface import TokenIds

# with these the CPU sums products of 8-bit numbers in 32 bits; without them, AVX2 sums pairs in 16 bits and
# saturates
_WIDE_SUMS = frozenset(("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"))


def needs_seven_bits() -> bool:
    """Return whether weights must use 7 bits on this CPU, so that sums of products do not saturate."""
    return not _WIDE_SUMS.intersection(cpu_flags())


def quantise(source: Path, target: Path, *, reduce_range: bool, keep: Sequence[str] = ()) -> None:
    """Write the graph with int8 matrix products, per channel; activation scales are computed in each call.

    `reduce_range` limits weights to 7 bits; the nodes in `keep` stay float.
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
            nodes_to_exclude=_with_matmul_names(keep),
            # products of two activations stay float; the type after a fused node cannot be inferred
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},
        )


def quantise_static(
    source: Path, target: Path, inputs: Iterator[Padded], *, reduce_range: bool, keep: Sequence[str] = ()
) -> None:
    """Write the graph with int8 matrix products whose activations have scales from calibration.

    The scales span the least and the largest value of each input of a product over `inputs`. Outputs of
    products stay float, as do products of a single token (pooler and head), which are Gemm in ONNX.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    quantised = [node for node in matmul_groups(source) if node not in keep]
    with quiet_logging():
        quantize_static(
            source,
            target,
            _CalibrationReader(source, inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,  # x86 has no fast kernel for signed activations
            weight_type=QuantType.QInt8,
            # by name, since MatMulConstBOnly has no effect here: products of two activations stay float
            nodes_to_quantize=quantised,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]},
        )
    _restore_float(target, quantised)


def fuse(source: Path, target: Path, config: JsonObject) -> dict[str, int]:
    """Write the graph fused by ONNX Runtime's transformer optimiser; return its fused nodes by kind.

    Attention is missing from the counts where the family's graph does not match the optimiser's patterns for
    BERT. Pruned shapes are fused too, and layers may have different head counts.
    """
    from onnxruntime.transformers.optimizer import optimize_model

    size = _head_size(config)
    with quiet_logging():
        # the graphs of transformers 5 leave the head count open (-1), so the optimiser uses these arguments
        # if heads x head size fits: one head always fits, and each layer's own count is set below
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


def _head_size(config: JsonObject) -> int:
    """Return the head size, or 0 where the configuration lacks it; DistilBERT uses its own names."""
    if config.get("attention_head_size"):
        return int(config["attention_head_size"])
    hidden = config.get("hidden_size", config.get("dim", 0))
    heads = config.get("num_attention_heads", config.get("n_heads", 0))
    return int(hidden // heads) if heads else 0


def _set_heads(graph: "onnx.GraphProto", head_size: int) -> None:
    """Set each attention node's head count from the width of its weights, [hidden, query + key + value]."""
    widths = {tensor.name: tensor.dims[-1] for tensor in graph.initializer if tensor.dims}
    for node in graph.node:
        if node.op_type == "Attention" and node.domain == "com.microsoft":  # ONNX has one of its own
            heads = next(attribute for attribute in node.attribute if attribute.name == "num_heads")
            heads.i = widths[node.input[1]] // 3 // head_size


def _restore_float(graph: Path, quantised: Sequence[str]) -> None:
    """Let all nodes but the quantised products read the float activations.

    The quantiser replaces an activation for all its readers: also for the residual connection, and for
    products that stay in float, which would then have int8's error as well.
    """
    import onnx

    model = onnx.load(str(graph))
    sources = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    exact = {
        node.output[0]: sources[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in sources
    }
    for node in model.graph.node:
        if node.name not in quantised:
            node.input[:] = [exact.get(name, name) for name in node.input]
    onnx.save(model, str(graph))


def _with_matmul_names(nodes: Sequence[str]) -> list[str]:
    """Return the names with the quantiser's own: it turns Gemm into MatMul before it compares names."""
    return [name for node in nodes for name in (node, f"{node}_MatMul")]


class _CalibrationReader:
    """Provides padded inputs through ONNX Runtime's interface for calibration data."""

    def __init__(self, graph: Path, inputs: Iterator[Padded]) -> None:
        import onnx

        loaded = onnx.load(str(graph), load_external_data=False).graph
        self._names = [value.name for value in loaded.input]
        self._inputs = inputs

    def get_next(self) -> "dict[str, TokenIds] | None":
        """Return the next input by name, or None after the last."""
        padded = next(self._inputs, None)
        return None if padded is None else {name: padded.arrays()[name] for name in self._names}
