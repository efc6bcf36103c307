"""The task of intermediate training: pairs of texts whose label may stand for several others.

Files of entailment pairs differ in their labels: some have entailment, neutral and contradiction, others only
entailment and not_entailment. A label `not_X` stands for every label but X where there are at least two of
those; an example with it has all of them as gold, and each is right.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.workload.tasks.base import LabelTask
from harness.workload.tasks.example import Example
from harness.workload.tasks.metrics import Counts, Scoring
from harness.workload.tasks.text_pair import pair

INTERMEDIATE = "intermediate"
_COMPLEMENT = re.compile(r"not[_ -]?(?P<label>.+)", re.IGNORECASE)
_MIN_OTHERS = 2


@dataclass(frozen=True, slots=True)
class IntermediateTask(LabelTask):
    """A task with one label per example, of which the gold may be one of several."""

    def accepted(self, example: Example) -> tuple[int, ...]:
        """Return a 1 for each label that is right for the example, in the order of `labels`, else 0."""
        return tuple(int(label in example.gold) for label in self.labels)


def intermediate_task(labels: Sequence[str]) -> IntermediateTask:
    """Return the task with these labels; its score is the share of answers among the accepted labels."""
    return IntermediateTask(
        name=INTERMEDIATE,
        folder=INTERMEDIATE,
        summary=f"pairs of texts, {len(labels)} labels",
        lay_out=pair("first", "second", "longest"),
        values={label: label for label in labels},
        scoring=Scoring(("accuracy",), _tally, _rates),
        truncate="longest",
    )


def accepted_labels(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return for each label of the files, sorted, those that it stands for: itself, or all but one."""
    distinct = sorted(set(names))
    complements = {name: complement_of(name, distinct) for name in distinct}
    plain = [name for name in distinct if complements[name] is None]
    others = {name: tuple(label for label in plain if label != complements[name]) for name in distinct}
    return {
        name: others[name] if complements[name] and len(others[name]) >= _MIN_OTHERS else (name,)
        for name in distinct
    }


def complement_of(name: str, labels: Iterable[str]) -> str | None:
    """Return the label that `name` negates, X of `not_X`, if it is one of `labels`; None otherwise."""
    match = _COMPLEMENT.fullmatch(name)
    negated = match["label"].casefold() if match else None
    return next((label for label in labels if label.casefold() == negated), None)


def _tally(examples: Sequence[Example], answers: Sequence[str]) -> Counts:
    right = sum(answer in example.gold for example, answer in zip(examples, answers, strict=True))
    return np.array([len(examples), right], dtype=np.float64)


def _rates(counts: Counts) -> dict[str, float]:
    return {"accuracy": float(counts[1] / counts[0])}
