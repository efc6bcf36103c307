"""The criteria of early exit, as scores of which a higher one is more confident.

    confidence   the probability of the answer, its largest softmax value (Schwartz et al. 2020)
    entropy      1 - H / ln(labels): 1 for a single possible label, 0 at a tie (DeeBERT, Xin et al. 2020)
    patience     how many classifiers in a row, up to this one, gave the same answer (PABEE, Zhou et al. 2020)

A request stops where its score reaches the threshold. With two labels, entropy and confidence order requests
in the same way.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.common.errors import unknown_name
from harness.systems.interface import require_finite
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits, Offsets

Floats = npt.NDArray[np.float64]

CRITERIA = ("confidence", "entropy", "patience")
"""The values of the option `criterion`."""

NEVER = 100.0
"""A threshold that no score reaches, so every request goes on to the next stage."""


def check_criterion(criterion: str, allowed: Sequence[str] = CRITERIA) -> None:
    """Raise UsageError, with the nearest name, unless the criterion is allowed."""
    if criterion not in allowed:
        raise unknown_name("criterion", criterion, allowed)


def confidence_scores(task: Task, logits: Logits, offsets: Offsets, criterion: str = "confidence") -> Floats:
    """Return the score of each request, 0..1, float64 [requests], by confidence or entropy.

    The score of a choice is over the request's sequences. For several sequences with labels of their own it
    is the lowest of their scores. A request without sequences has 1. MeasurementError for logits that are not
    finite: no threshold would hold a NaN back.
    """
    require_finite(logits)
    scores_of_rows = _entropy_scores if criterion == "entropy" else _probabilities
    if task.head == "choice":
        parts = [logits[low:high, 0] for low, high in pairwise(offsets)]
        return np.array([float(scores_of_rows(part[None])[0]) if len(part) else 1.0 for part in parts])
    rows = scores_of_rows(logits) if len(logits) else np.zeros(0)
    return np.array([rows[low:high].min(initial=1.0) for low, high in pairwise(offsets)])


def run_length(answers: Sequence[str]) -> int:
    """Return how many answers at the end are the same."""
    reversed_answers = enumerate(reversed(answers))
    return next((length for length, answer in reversed_answers if answer != answers[-1]), len(answers))


def run_lengths(answers: Sequence[Sequence[str]]) -> list[Floats]:
    """Return for each classifier the patience score of each example: [examples], by classifier."""
    rows = list(zip(*answers, strict=True))
    return [
        np.array([run_length(row[:count]) for row in rows], dtype=np.float64)
        for count in range(1, len(answers) + 1)
    ]


def _probabilities(logits: Logits) -> Floats:
    largest: Floats = softmax(logits).max(axis=1)
    return largest


def _entropy_scores(logits: Logits) -> Floats:
    probabilities = softmax(logits)
    labels = probabilities.shape[1]
    if labels < 2:  # noqa: PLR2004 -- a single candidate has no entropy
        return np.ones(len(probabilities))
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    scores: Floats = 1 + (probabilities * logs).sum(axis=1) / np.log(labels)
    return np.clip(scores, 0.0, 1.0)


def softmax(values: npt.NDArray[np.floating[Any]]) -> Floats:
    """Return probabilities along the last axis, float64."""
    powers: Floats = np.exp(np.asarray(values, dtype=np.float64) - np.max(values, axis=-1, keepdims=True))
    probabilities: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities
