"""How far the answers of a rounded model are from fp32's, and how far they change with their batch.

    logits of fp32, int8 --what decides--> differences between labels, or between candidates
       spread of fp32's from example to example = 1
       root mean square of the changes     --> relative error   at most ERROR_BOUND
       answers that are equal, ties apart  --> their interval   not wholly below REQUIRED

Both are measured on training examples when a variant is prepared, and recorded in its manifest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.common.errors import UnsupportedError
from harness.common.json_types import JsonObject
from harness.systems.interface import System
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example, Logits, Offsets

VERSION = 2
"""Of the check; part of the key of every artifact that it accepts."""

ERROR_BOUND = 0.25
"""The largest relative error: a quarter of the spread turns one answer in thirteen where two are balanced."""

REQUIRED = 0.98
"""The share of equal answers that the interval has to reach."""

TIE = 0.1
"""An answer that changes within this share of the spread is a tie: fp32 itself hardly decides it."""

SIZE_BOUND = 0.5
"""The largest error as a share of the logits' size, where their spread shows nothing: of a broken graph."""

LEAST_SEQUENCES, NARROW = 8, 0.01
"""Fewer sequences, or a spread that is a smaller share of the logits' size, show nothing."""

LEAST_EXAMPLES = 20
"""With fewer, one answer that differs would refuse a model that gives 98 % of them."""

BATCH = 8
"""How many requests are answered together to measure their effect on one another."""

_EXAMPLES = 2 * BATCH  # the effect shows in nearly every batch, and the figure is not reported
_Z = 1.959964  # of an interval of 95 %


@dataclass(frozen=True, slots=True)
class _Scale:
    """What a change of a logit is compared with, and why that is not the spread (empty if it is)."""

    value: float
    reason: str = ""

    @property
    def bound(self) -> float:
        return SIZE_BOUND if self.reason else ERROR_BOUND


def require_closeness(
    task: Task,
    reference: System,
    candidate: System,
    trial: Sequence[Example],
    where: str = "onnx-int8",
    *,
    trained: bool = True,
) -> JsonObject:
    """Return how far the answers are from fp32's; UnsupportedError if too far to be the same model.

    A relative error above `ERROR_BOUND` is refused. So is a share of equal answers, of `LEAST_EXAMPLES` or
    more, whose interval of 95 % lies below `REQUIRED`. An untrained model, one that answers all examples
    alike, and very few examples show only whether a graph is broken: their logits may change by `SIZE_BOUND`
    of their size.
    """
    answers = reference.predict(reference.encode(trial))
    exact, rounded = answers.logits, candidate.predict(candidate.encode(trial)).logits
    decisive = _decisive(task, exact, answers.offsets)
    scale = _scale(decisive, trained=trained)
    with np.errstate(invalid="ignore"):  # infinite logits, whose change is NaN and therefore refused
        change = _root_mean_square(_decisive(task, rounded, answers.offsets) - decisive)
    error = change / scale.value if scale.value else math.inf if change else 0.0
    equal = round(len(trial) * _equal_but_ties(task, exact, rounded, answers.offsets, TIE * scale.value))
    highest = highest_share(equal, len(trial))
    judges_answers = len(trial) >= LEAST_EXAMPLES and not scale.reason
    if not error <= scale.bound or (judges_answers and highest < REQUIRED):
        raise _too_far(where, error, scale, equal, len(trial), highest)
    return {
        "examples": len(trial),
        "max_logit_difference": float(np.max(np.abs(exact - rounded))),
        "relative_error": error,
        "bound": scale.bound,
        "relative_to": scale.reason or "the spread of fp32's logits",
        "equal_answers": equal_answers(task, exact, rounded, answers.offsets),
        "equal_but_ties": equal / len(trial),
        "equal_at_most": highest,
    }


def _too_far(
    where: str, error: float, scale: _Scale, equal: int, examples: int, highest: float
) -> UnsupportedError:
    of = "size" if scale.reason else "spread"
    return UnsupportedError(
        f"int8 answers are too far from fp32: on {examples} training examples, logits change by {error:.2g} "
        f"of their {of} (limit {scale.bound:g}), and {equal} answers are equal (with 95 % confidence at most "
        f"{highest:.1%} of all; expected {REQUIRED:.0%}).",
        where=where,
        remedy="Keep sensitive operators in float (onnx-int8 with keep_float: auto:2), or use 16 or 32 bits.",
    )


def _decisive(task: Task, logits: Logits, offsets: Offsets) -> npt.NDArray[np.float64]:
    """Return logits without what changes no answer: the mean over labels, or over a request's candidates."""
    values = logits.astype(np.float64)
    if task.head == "choice":
        counts = np.diff(offsets)
        request = np.repeat(np.arange(len(counts)), counts)
        means = np.bincount(request, values[:, 0], len(counts)) / np.maximum(counts, 1)
        return values - means[request, None]
    if task.head == "multi_label" or values.shape[1] == 1:
        return values
    centred: npt.NDArray[np.float64] = values - values.mean(axis=1, keepdims=True)
    return centred


def _scale(decisive: npt.NDArray[np.float64], *, trained: bool) -> _Scale:
    sequences, size = len(decisive), _root_mean_square(decisive)
    if not trained:
        return _Scale(size, "the size of logits, because the model is untrained")
    if sequences < LEAST_SEQUENCES:
        return _Scale(size, f"the size of logits, because {sequences} sequences show no spread")
    spread = _root_mean_square(decisive - decisive.mean(axis=0)) * math.sqrt(sequences / (sequences - 1))
    if spread < NARROW * size:
        return _Scale(size, f"the size of logits, because they vary by {spread / size:.2g} of it")
    return _Scale(spread)


def _root_mean_square(values: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _equal_but_ties(task: Task, exact: Logits, rounded: Logits, offsets: Offsets, step: float) -> float:
    """Return the share of equal answers; one that a `step` towards the other logits turns counts as equal."""
    nearby = exact + np.clip(rounded - exact, -step, step)
    answers = (task.decide(logits, offsets) for logits in (exact, rounded, nearby))
    equal = [second in {first, tied} for first, second, tied in zip(*answers, strict=True)]
    return sum(equal) / len(equal)


def highest_share(right: int, count: int) -> float:
    """Return the upper end of Wilson's interval of 95 % for a share (E. B. Wilson 1927)."""
    if right == count:
        return 1.0
    share, square = right / count, _Z**2
    half_width = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return (share + square / (2 * count) + half_width) / (1 + square / count)


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
