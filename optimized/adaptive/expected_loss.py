"""The expected loss of early answers, by the calibrated probabilities of the full model.

A label only tells whether an answer is right or wrong. On a few hundred examples, one answer is a third of a
point, and the cheapest of many thresholds with a good score is partly luck. The full model's probabilities
give more: an answer that differs from the full model's has an expected loss of p(full model's answer) -
p(early answer), which is small where the full model itself is uncertain, and an equal answer has none. This
estimate has a fraction of the noise if the probabilities are right on average. For that, one temperature is
fitted to the labels (Guo et al. 2017, arXiv 1706.04599): the lowest within one standard error, because a
lower temperature gives larger losses, and a few labels do not determine the temperature well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from harness.systems.interface import Predictions
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.adaptive.criteria import Floats, softmax

_LOG_TEMPERATURES = (-3.0, 3.0)
"""The bounds of the fitted temperature: a factor of 20 to either side."""


@dataclass(frozen=True, slots=True)
class CalibratedModel:
    """The full model's predictions, and the temperature that makes its probabilities right on average."""

    head: str
    predictions: Predictions
    temperature: float

    def expected_loss(self, early: Predictions) -> Floats:
        """Return the expected loss of each request's early answer, 0..1, float64 [requests].

        For several sequences with labels of their own it is the mean over them.
        """
        parts = zip(_rows(self.head, self.predictions), _rows(self.head, early), strict=True)
        losses = [_expected_loss(full / self.temperature, early_logits) for full, early_logits in parts]
        return np.array(losses, dtype=np.float64)


def calibrate_model(task: Task, examples: Sequence[Example], predictions: Predictions) -> CalibratedModel:
    """Return the full model with a fitted temperature; `predictions` are its own of these labelled examples.

    The temperature is the lowest whose log-likelihood of the labels is within one standard error of the
    largest, that is at most a half below it.
    """
    from scipy.optimize import brentq, minimize_scalar  # slow to import, and most commands never calibrate

    rows = [
        (logits, _gold(task, example))
        for logits, example in zip(_rows(task.head, predictions), examples, strict=True)
        if logits.size  # a request without sequences has no label
    ]

    def negative_log_likelihood(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        likelihoods = [(softmax(logits / temperature) * gold).sum(axis=1) for logits, gold in rows]
        return -float(np.log(np.maximum(np.concatenate(likelihoods), np.finfo(np.float64).tiny)).sum())

    best = minimize_scalar(negative_log_likelihood, bounds=_LOG_TEMPERATURES, method="bounded")
    lowest = _LOG_TEMPERATURES[0]

    def beyond_one_error(log_temperature: float) -> float:
        return negative_log_likelihood(log_temperature) - float(best.fun) - 0.5

    crosses = beyond_one_error(lowest) > 0 > beyond_one_error(best.x)
    log_temperature = brentq(beyond_one_error, lowest, best.x) if crosses else lowest
    return CalibratedModel(task.head, predictions, float(np.exp(log_temperature)))


def _rows(head: str, predictions: Predictions) -> list[Floats]:
    """Return the logits of each request: a row for each sequence, or one row of a choice's candidates."""
    logits = np.asarray(predictions.logits, dtype=np.float64)
    parts = [logits[low:high] for low, high in pairwise(predictions.offsets)]
    return [part.reshape(1, -1) for part in parts] if head == "choice" else parts


def _gold(task: Task, example: Example) -> Floats:
    """Return 1 for gold labels and 0 for others, in the shape of `_rows`; a choice may have several."""
    targets = np.array(task.targets(example))
    if task.head == "choice":
        return targets.reshape(1, -1).astype(np.float64)
    one_hot: Any = np.eye(len(task.labels))[targets]
    return np.asarray(one_hot, dtype=np.float64)


def _expected_loss(full: Floats, early: Floats) -> float:
    if not full.size:
        return 0.0
    rows, probabilities = np.arange(len(full)), softmax(full)
    lost = probabilities[rows, full.argmax(axis=1)] - probabilities[rows, early.argmax(axis=1)]
    return float(lost.mean())
