"""What a system that adapts spent on each request (layers, a stage, tokens), from calls to the record.

predictions --costs_of--> one value a request --journal, samples--> spent_of --> mean, histogram, quality
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from harness.records.record import AdaptiveCost
from harness.systems.interface import Predictions
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example

_MOST_VALUES = 24
"""More different values than these are counted by nobody: tokens, not layers."""


def adaptive_costs(predictions: Sequence[Predictions], requests: int) -> dict[str, list[float]]:
    """Return by name what each of the first `requests` requests cost, where every call says so."""
    if not predictions:
        return {}
    names = [name for name in predictions[0].costs if all(name in part.costs for part in predictions)]
    found = {
        name: [float(each) for part in predictions for each in part.costs[name]][:requests] for name in names
    }
    # a system that has no number for every request has said nothing of them
    return {
        name: values
        for name, values in found.items()
        if len(values) == requests and all(map(math.isfinite, values))
    }


def adaptive_cost_of(
    task: Task, examples: Sequence[Example], costs: Mapping[int, float], answers: Mapping[int, str] | None
) -> AdaptiveCost:
    """Return what timed examples cost; `answers` by example, or None where there is no quality.

    Quality by value is the primary metric over the labelled examples that were answered at that value.
    """
    by_value: dict[float, list[int]] = defaultdict(list)
    for index, value in costs.items():
        by_value[value].append(index)
    few = dict(sorted(by_value.items())) if len(by_value) <= _MOST_VALUES else {}
    quality = (
        {}
        if answers is None
        else {
            f"{value:g}": score
            for value, part in few.items()
            if (score := _quality(task, examples, [at for at in part if examples[at].gold], answers))
            is not None
        }
    )
    return AdaptiveCost(
        mean=math.fsum(costs.values()) / len(costs),
        histogram={f"{value:g}": len(part) for value, part in few.items()},
        quality=quality,
    )


def _quality(
    task: Task, examples: Sequence[Example], part: Sequence[int], answers: Mapping[int, str]
) -> float | None:
    if not part:
        return None
    scores = task.scoring([examples[at] for at in part], [answers[at] for at in part])
    found = scores.get(task.scoring.metrics[0], math.nan)
    return found if math.isfinite(found) else None
