"""When a request may stop: three rules that papers on early exit compare, on one scale where more is surer.

    confidence   the probability of the answer, its largest softmax value (Schwartz et al. 2020)
    entropy      1 - H / ln(labels): 1 where all is on one label, 0 at a tie (DeeBERT, Xin et al. 2020)
    patience     how many classifiers in a row, up to this one, gave the same answer (PABEE, Zhou et al. 2020)

A request stops where the value reaches a threshold. With two labels, entropy orders requests as confidence.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.common.errors import unknown_name
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Logits, Offsets

Floats = npt.NDArray[np.float64]

CRITERIA = ("confidence", "entropy", "patience")
"""By name, as the option `criterion` has it."""

NEVER = 100.0
"""A threshold that no probability and no row of classifiers reaches: every request goes on to the end."""


def check_criterion(criterion: str, allowed: Sequence[str] = CRITERIA) -> None:
    """Refuse a rule that is none of these, with the nearest name."""
    if criterion not in allowed:
        raise unknown_name("criterion", criterion, allowed)


def sureness(task: Task, logits: Logits, offsets: Offsets, criterion: str = "confidence") -> Floats:
    """Return for each request how sure an answer is, 0..1, float64 [requests], by confidence or entropy.

    For a choice it is taken among the request's sequences; of several sequences with labels of their own it
    is that of the least sure one. A request without sequences is sure.
    """
    measure = _certainty if criterion == "entropy" else _confidence
    if task.head == "choice":
        parts = [logits[low:high, 0] for low, high in pairwise(offsets)]
        return np.array([float(measure(part[None])[0]) if len(part) else 1.0 for part in parts])
    rows = measure(logits) if len(logits) else np.zeros(0)
    return np.array([rows[low:high].min(initial=1.0) for low, high in pairwise(offsets)])


def run_length(said: Sequence[str]) -> int:
    """Return how many of the last answers are the same."""
    return next((back for back, each in enumerate(reversed(said)) if each != said[-1]), len(said))


def run_lengths(answers: Sequence[Sequence[str]]) -> list[Floats]:
    """Return for each classifier and example how many classifiers in a row, up to it, say the same."""
    rows = list(zip(*answers, strict=True))
    return [
        np.array([run_length(row[: at + 1]) for row in rows], dtype=np.float64) for at in range(len(answers))
    ]


def _confidence(logits: Any) -> Floats:  # noqa: ANN401 -- an array
    found: Floats = softmax(logits).max(axis=1)
    return found


def _certainty(logits: Any) -> Floats:  # noqa: ANN401 -- an array
    shares = softmax(logits)
    if shares.shape[1] < 2:  # noqa: PLR2004 -- there is nothing to be unsure between
        return np.ones(len(shares))
    logs = np.log(np.maximum(shares, np.finfo(np.float64).tiny))
    found: Floats = 1 + (shares * logs).sum(axis=1) / np.log(shares.shape[1])
    return np.clip(found, 0.0, 1.0)


def softmax(values: Any) -> Floats:  # noqa: ANN401 -- an array
    """Return shares that add up to 1 along the last axis, float64."""
    powers: Floats = np.exp(np.asarray(values, dtype=np.float64) - np.max(values, axis=-1, keepdims=True))
    made: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return made
