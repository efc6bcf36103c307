"""How far the answers of a rounded model are from fp32's, and how far they change with their batch.

Both are measured on training examples when a variant is prepared, and recorded in its manifest.
"""

from collections.abc import Sequence

import numpy as np

from harness.common.errors import UnsupportedError
from harness.common.json_types import JsonObject
from harness.systems.interface import System
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits, Offsets

BATCH = 8
"""How many requests are answered together to measure their effect on one another."""

_EXAMPLES = 2 * BATCH  # the effect shows in nearly every batch, and the figure is not reported


def require_closeness(
    task: Task, reference: System, candidate: System, trial: Sequence[Example], where: str = "onnx-int8"
) -> JsonObject:
    """Return how far the answers are from fp32's; CheckpointError if too far to be the same model.

    A logit may differ by half of the largest fp32 logit, and by 0.5 in any case. This detects a broken graph;
    the effect of int8 on quality is measured by the run.
    """
    reference_answers = reference.predict(reference.encode(trial))
    exact, rounded = reference_answers.logits, candidate.predict(candidate.encode(trial)).logits
    worst = float(np.max(np.abs(exact - rounded)))
    bound = max(0.5, 0.5 * float(np.max(np.abs(exact))))
    if not worst <= bound:
        raise UnsupportedError(
            f"int8 answers are too far from fp32: logits may differ by {bound:.3g}, got {worst:.3g}.",
            where=where,
            remedy="Leave sensitive operators in float (keep_float: auto:2), or use onnx-fp32.",
        )
    return {
        "examples": len(trial),
        "max_logit_difference": worst,
        "bound": bound,
        "equal_answers": equal_answers(task, exact, rounded, reference_answers.offsets),
    }


def batch_dependence(
    task: Task,
    system: System,
    trial: Sequence[Example],
    batch: int | str = BATCH,
    examples: int = _EXAMPLES,
) -> JsonObject | str:
    """Return how far answers change when requests are answered together instead of one at a time.

    `batch` describes how `system` batches the requests of a call: a number, or a rule. With one activation
    scale for a whole batch, an answer depends on its batch mates.
    """
    requests = system.encode(trial[:examples])
    if len(requests) < 2:  # noqa: PLR2004 -- one request has no batch mates
        return "unavailable, because there were fewer than two trial examples"
    alone = np.concatenate([system.predict([request]).logits for request in requests])
    together = system.predict(requests)
    return {
        "examples": len(requests),
        "batch": batch,
        "max_logit_difference": float(np.max(np.abs(alone - together.logits))),
        "equal_answers": equal_answers(task, alone, together.logits, together.offsets),
    }


def equal_answers(task: Task, first: Logits, second: Logits, offsets: Offsets) -> float:
    """Return the share of requests that get the same answer from both."""
    pairs = list(zip(task.decide(first, offsets), task.decide(second, offsets), strict=True))
    return sum(answer == other for answer, other in pairs) / len(pairs)
