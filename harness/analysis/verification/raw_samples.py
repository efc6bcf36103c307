"""The raw samples of one record, as checks read them, whichever version wrote them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.common.errors import BenchError
from harness.workload.tasks import resolve_task
from harness.workload.tasks.custom import CUSTOM, CustomTaskDefinition

if TYPE_CHECKING:
    from harness.records.record import Record
    from harness.workload.tasks.base import Task

Numbers = npt.NDArray[np.int64]
COST = "cost_"
"""What the names of arrays of costs begin with."""

FIRST = 1
"""The version in which answers were numbers of labels, with right and wrong in place of counts."""


@dataclass(frozen=True, slots=True, eq=False)
class RawSamples:
    """Calls and answers of a cell.

    `answers` are by example, of those that were asked; `counts` are [clusters, counts]; `costs` by name, one
    value a timed request.
    """

    call_ns: Numbers
    call_round: Numbers
    timed_example: Numbers
    timed_round: Numbers
    timed_answer: tuple[str, ...]
    answers: Mapping[int, str]
    examples: int
    counts: npt.NDArray[np.float64]
    costs: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    @property
    def timed(self) -> int:
        """How many different examples were timed."""
        return len(np.unique(self.timed_example))

    def first_answers(self) -> dict[int, str]:
        """Return the answer to each timed example, of its first timed pass."""
        found: dict[int, str] = {}
        for example, answer in zip(self.timed_example.tolist(), self.timed_answer, strict=True):
            found.setdefault(example, answer)
        return found

    def first_costs(self, name: str) -> dict[int, float]:
        """Return what each timed example cost in its first timed pass."""
        found: dict[int, float] = {}
        for example, value in zip(self.timed_example.tolist(), self.costs[name].tolist(), strict=True):
            found.setdefault(example, value)
        return found

    def changed(self) -> int:
        """Return how many timed examples were answered differently in another round."""
        first = self.first_answers()
        asked = zip(self.timed_example.tolist(), self.timed_answer, strict=True)
        return len({example for example, answer in asked if first[example] != answer})

    def examples_of(self, index: int) -> list[int]:
        """Return the examples that a round asked, in order."""
        return [int(example) for example in self.timed_example[self.timed_round == index]]


def raw_of(record: "Record", arrays: "Mapping[str, np.ndarray[Any, Any]]", task: "Task | None") -> RawSamples:
    """Return the samples of a record; KeyError or IndexError where arrays are missing or do not fit together.

    A record of the first version needs its task, for the names of the labels.
    """
    first = record.schema_version == FIRST
    if not np.isin(arrays["timed_example"], np.arange(len(arrays["answer"]))).all():
        raise IndexError("an example was timed that the split does not have")
    costs = {name.removeprefix(COST): each for name, each in arrays.items() if name.startswith(COST)}
    if any(each.shape != arrays["timed_example"].shape for each in costs.values()):
        raise IndexError("what requests cost is not there for each timed request")
    said, answer = arrays["timed_answer"], arrays["answer"]
    labels = task.labels if task else ()
    asked = answer >= 0 if first else arrays["answered"]
    words = [labels[number] if number >= 0 else "" for number in answer] if first else answer.tolist()
    return RawSamples(
        call_ns=arrays["call_ns"].astype(np.int64),
        call_round=arrays["call_round"].astype(np.int64),
        timed_example=arrays["timed_example"].astype(np.int64),
        timed_round=arrays["timed_round"].astype(np.int64),
        timed_answer=tuple(labels[number] for number in said) if first else tuple(said.tolist()),
        answers={index: words[index] for index in np.flatnonzero(asked).tolist()},
        examples=len(answer),
        counts=_right_and_wrong(arrays["correct"], len(labels)) if first else arrays["counts"],
        costs=costs,
    )


def task_of_record(record: "Record") -> "Task | None":
    """Return the task of a record; None where this version cannot make it."""
    try:
        if record.cell.task == CUSTOM:
            facts = record.configuration["custom"]
            definition = CustomTaskDefinition(
                labels=tuple(facts["labels"]),
                metric=facts["metric"],
                pair=len(facts["text"]) > 1,
            )
            return resolve_task(definition.words)
        return resolve_task(record.cell.task)
    except (BenchError, KeyError, TypeError):
        return None


def _right_and_wrong(correct: "np.ndarray[Any, Any]", labels: int) -> npt.NDArray[np.float64]:
    """Return counts that carry the accuracy alone, which is all that the first version knew."""
    scored = correct[correct >= 0]
    counts = np.zeros((len(scored), 2 + 3 * labels))
    counts[:, 0], counts[:, 1] = 1, scored
    return counts
