"""What an early answer is expected to lose, by the full model's own probabilities.

Labels say of an answer that it is right or wrong. On a few hundred examples one answer more or less is a
third of a point, and the cheapest of many thresholds that look good is partly luck. The full model says
more: an answer that differs from its own loses p(its own) - p(the other) in expectation, little where it
was in doubt itself, and nothing where both answer alike. That has a fraction of the noise, as long as its
probabilities are right on average, for which one temperature is fitted to the labels (Guo et al. 2017,
arXiv 1706.04599): the lowest within one standard error, since a full model that is surer of itself loses
more by another answer, and few labels cannot tell the temperature well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.systems.interface import Predictions
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from optimized.adaptive.criteria import Floats, softmax

_LOG_TEMPERATURES = (-3.0, 3.0)
"""Between which a temperature lies: a model may be 20 times too sure, or too timid."""


@dataclass(frozen=True, slots=True)
class CalibratedModel:
    """The full model's probabilities, made right on average by a temperature, and its own choices."""

    head: str
    found: Predictions
    temperature: float

    def loss(self, other: Predictions) -> Floats:
        """Return what each request is expected to lose with `other`'s answer, 0..1, float64 [requests].

        Of several sequences with labels of their own the mean counts.
        """
        parts = zip(_rows(self.head, self.found), _rows(self.head, other), strict=True)
        return np.array([_regret(own / self.temperature, its) for own, its in parts], dtype=np.float64)


def judge_of(task: Task, examples: Sequence[Example], found: Predictions) -> CalibratedModel:
    """Return the full model as a judge; `found` is what it says of these labelled examples.

    Its temperature is the lowest at which the likelihood of the labels is within one standard error of the
    best: their logarithms, summed, differ by at most a half.
    """
    from scipy.optimize import brentq, minimize_scalar  # slow to load, and most commands never calibrate

    known = [
        (own, _right(task, example))
        for own, example in zip(_rows(task.head, found), examples, strict=True)
        if own.size  # a request without sequences says nothing
    ]

    def surprise(log_temperature: float) -> float:
        by = np.exp(log_temperature)
        chances = [(softmax(own / by) * right).sum(axis=1) for own, right in known]
        return -float(np.log(np.maximum(np.concatenate(chances), np.finfo(np.float64).tiny)).sum())

    best = minimize_scalar(surprise, bounds=_LOG_TEMPERATURES, method="bounded")
    lowest = _LOG_TEMPERATURES[0]

    def beyond(log_temperature: float) -> float:
        return surprise(log_temperature) - float(best.fun) - 0.5

    at = brentq(beyond, lowest, best.x) if beyond(lowest) > 0 > beyond(best.x) else lowest
    return CalibratedModel(task.head, found, float(np.exp(at)))


def _rows(head: str, found: Predictions) -> list[npt.NDArray[np.float64]]:
    """Return the logits of each request: a row a sequence, or for a choice one row of all its candidates."""
    logits = np.asarray(found.logits, dtype=np.float64)
    parts = [logits[low:high] for low, high in pairwise(found.offsets)]
    return [part.reshape(1, -1) for part in parts] if head == "choice" else parts


def _right(task: Task, example: Example) -> npt.NDArray[np.float64]:
    """Return 1 where the gold label stands, else 0, in the form of `_rows`; a choice may have several."""
    targets = np.array(task.targets(example))
    if task.head == "choice":
        return targets.reshape(1, -1).astype(np.float64)
    found: Any = np.eye(len(task.labels))[targets]
    return np.asarray(found, dtype=np.float64)


def _regret(own: npt.NDArray[np.float64], its: npt.NDArray[np.float64]) -> float:
    if not own.size:
        return 0.0
    at, shares = np.arange(len(own)), softmax(own)
    return float((shares[at, own.argmax(axis=1)] - shares[at, its.argmax(axis=1)]).mean())
