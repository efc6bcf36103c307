"""Whether rounded numbers still give the same model: how far answers are from fp32's, and from themselves.

Both are measured on examples of the training split when a variant is prepared, and stand in its manifest.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.common.errors import CheckpointError
from harness.systems.interface import System
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits, Offsets

BATCH = 8
"""How many requests are answered together when their effect on one another is looked for."""

_EXAMPLES = 2 * BATCH  # what is looked for shows in nearly every batch, and is no figure to quote


def require_closeness(
    task: Task, reference: System, candidate: System, trial: Sequence[Example], where: str = "onnx-int8"
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
            where=where,
            remedy="Leave sensitive operators in float (keep_float: auto:2), or use onnx-fp32.",
        )
    return {
        "examples": len(trial),
        "max_logit_difference": worst,
        "bound": bound,
        "equal_answers": equal_answers(task, exact, rounded, first.offsets),
    }


def batch_dependence(
    task: Task,
    system: System,
    trial: Sequence[Example],
    batch: int | str = BATCH,
    examples: int = _EXAMPLES,
) -> dict[str, Any] | str:
    """Return how far answers move when requests are answered together instead of one by one.

    `system` answers requests of a call together as `batch` says: so many, or by a rule. With activations on
    one scale for a whole batch, an answer depends on what it was batched with.
    """
    requests = system.encode(trial[:examples])
    if len(requests) < 2:  # noqa: PLR2004 -- one request has no company
        return "unavailable, because there were fewer than two trial examples"
    alone = np.concatenate([system.predict([each]).logits for each in requests])
    together = system.predict(requests)
    return {
        "examples": len(requests),
        "batch": batch,
        "max_logit_difference": float(np.max(np.abs(alone - together.logits))),
        "equal_answers": equal_answers(task, alone, together.logits, together.offsets),
    }


def equal_answers(task: Task, one: Logits, other: Logits, offsets: Offsets) -> float:
    """Return the share of requests that get the same answer from both."""
    pairs = list(zip(task.decide(one, offsets), task.decide(other, offsets), strict=True))
    return sum(mine == theirs for mine, theirs in pairs) / len(pairs)
