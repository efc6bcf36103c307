"""What is done to an ONNX graph: int8 weights, fused nodes, and the check that it is still the same model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines.quiet import quiet_logging
from harness.errors import CheckpointError
from harness.system import Example, System
from harness.tasks.base import Task


def quantise(source: Path, target: Path, *, reduce_range: bool) -> None:
    """Write the graph with int8 matrix products, per channel; `reduce_range` keeps weights to 7 bits."""
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
            # activations against activations stay float; types after a fused node are not inferred but known
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},
        )


def fuse(source: Path, target: Path, config: Mapping[str, Any]) -> dict[str, int]:
    """Write the graph as ONNX Runtime's transformer optimiser fuses it; return its fused nodes by kind.

    The counts hold no Attention where the family's graph does not match the optimiser's patterns for BERT.
    """
    from onnxruntime.transformers.optimizer import optimize_model

    with quiet_logging():
        # heads and width are given: the optimiser cannot find them in the graphs of transformers 5
        model = optimize_model(
            str(source),
            model_type="bert",
            num_heads=config.get("num_attention_heads", config.get("n_heads", 0)),
            hidden_size=config.get("hidden_size", config.get("dim", 0)),
            opt_level=0,
            use_gpu=False,
        )
        model.save_model_to_file(str(target))
    return {kind: count for kind, count in model.get_fused_operator_statistics().items() if count}


def require_closeness(
    task: Task, reference: System, candidate: System, trial: Sequence[Example]
) -> dict[str, Any]:
    """Return how far the answers are from fp32's; CheckpointError if too far to be the same model.

    A logit may differ by half of the largest fp32 logit, and by 0.5 in any case: that catches a broken graph,
    while what int8 costs in quality is for the harness to measure.
    """
    first = reference.predict(reference.encode(trial))
    exact, rounded = first.logits, candidate.predict(candidate.encode(trial)).logits
    worst = float(np.max(np.abs(exact - rounded)))
    bound = max(0.5, 0.5 * float(np.max(np.abs(exact))))
    if not worst <= bound:
        raise CheckpointError(
            f"int8 answers are too far from fp32: logits differ by {worst:.3g}, {bound:.3g} is allowed.",
            where="onnx-int8",
            remedy="This model does not bear dynamic int8 as it is; use onnx-fp32.",
        )
    answers = zip(task.decide(exact, first.offsets), task.decide(rounded, first.offsets), strict=True)
    equal = [one == other for one, other in answers]
    return {
        "examples": len(trial),
        "max_logit_difference": worst,
        "bound": bound,
        "equal_answers": sum(equal) / len(equal),
    }
