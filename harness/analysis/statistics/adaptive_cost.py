"""The cost of each request in an adaptive system (layers, a stage, tokens), from calls to the record.

predictions --adaptive_costs--> one value a request --journal, samples--> adaptive_cost_of --> AdaptiveCost
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from harness.records.record import AdaptiveCost
from harness.systems.interface import Predictions
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

_MOST_VALUES = 24
"""Above this many distinct values there is no histogram: the values are tokens rather than layers."""


def adaptive_costs(predictions: Sequence[Predictions], requests: int) -> dict[str, list[float]]:
    """Return by name the cost of each of the first `requests` requests, where every call reports it."""
    if not predictions:
        return {}
    names = [name for name in predictions[0].costs if all(name in part.costs for part in predictions)]
    costs = {
        name: [float(cost) for part in predictions for cost in part.costs[name]][:requests] for name in names
    }
    # a cost without a finite value for every request is not reported at all
    return {
        name: values
        for name, values in costs.items()
        if len(values) == requests and all(map(math.isfinite, values))
    }


def adaptive_cost_of(
    task: Task, examples: Sequence[Example], costs: Mapping[int, float], answers: Mapping[int, str] | None
) -> AdaptiveCost:
    """Return the cost of timed examples; `answers` are by example, or None without a quality.

    Quality by value is the primary metric over the labelled examples that were answered at that value.
    """
    by_value: dict[float, list[int]] = defaultdict(list)
    for index, value in costs.items():
        by_value[value].append(index)
    values = dict(sorted(by_value.items())) if len(by_value) <= _MOST_VALUES else {}
    scores: dict[float, float | None] = {}
    if answers is not None:
        labelled = {value: [at for at in indexes if examples[at].gold] for value, indexes in values.items()}
        scores = {
            value: _primary_metric(task, examples, indexes, answers) for value, indexes in labelled.items()
        }
    return AdaptiveCost(
        mean=math.fsum(costs.values()) / len(costs),
        histogram={f"{value:g}": len(indexes) for value, indexes in values.items()},
        quality={f"{value:g}": score for value, score in scores.items() if score is not None},
    )


def _primary_metric(
    task: Task, examples: Sequence[Example], indexes: Sequence[int], answers: Mapping[int, str]
) -> float | None:
    if not indexes:
        return None
    scores = task.scoring([examples[at] for at in indexes], [answers[at] for at in indexes])
    score = scores.get(task.scoring.metrics[0], math.nan)
    return score if math.isfinite(score) else None
