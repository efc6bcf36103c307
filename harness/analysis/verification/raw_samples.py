"""The raw samples of one record in one form for all format versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from harness.records.record import Record
    from harness.workload.tasks.base import Task

T = TypeVar("T")
Numbers = npt.NDArray[np.int64]
COST = "cost_"
"""Prefix of the names of arrays of costs."""

FIRST = 1
"""The format version in which answers are numbers of labels, with right and wrong in place of counts."""


@dataclass(frozen=True, slots=True, eq=False)
class RawSamples:
    """Calls and answers of a cell.

    `answers` are by answered example; `counts` are [clusters, counts]; `costs` are by name, one value per
    timed request.
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
    gap_ns: Numbers | None = None
    """The time before each call; None in records of earlier versions."""

    @property
    def timed(self) -> int:
        """Number of distinct timed examples."""
        return len(np.unique(self.timed_example))

    def first_answers(self) -> dict[int, str]:
        """Return the answer to each timed example in its first timed pass."""
        return self._first(self.timed_answer)

    def first_costs(self, name: str) -> dict[int, float]:
        """Return the cost of each timed example in its first timed pass."""
        return self._first(self.costs[name].tolist())

    def _first(self, values: Sequence[T]) -> dict[int, T]:
        first: dict[int, T] = {}
        for example, value in zip(self.timed_example.tolist(), values, strict=True):
            first.setdefault(example, value)
        return first

    def changed(self) -> int:
        """Return how many timed examples were answered differently in another round."""
        first = self.first_answers()
        answers = zip(self.timed_example.tolist(), self.timed_answer, strict=True)
        return len({example for example, answer in answers if first[example] != answer})

    def examples_of(self, index: int) -> list[int]:
        """Return the examples of a round, in order."""
        return [int(example) for example in self.timed_example[self.timed_round == index]]

    def calls_of(self, index: int) -> Numbers:
        """Return the nanoseconds of the calls of a round, in order."""
        calls: Numbers = self.call_ns[self.call_round == index]
        return calls

    def gaps_of(self, index: int) -> Numbers | None:
        """Return the nanoseconds before each call of a round; None if the samples do not have them."""
        return None if self.gap_ns is None else self.gap_ns[self.call_round == index]


def raw_of(record: "Record", arrays: "Mapping[str, np.ndarray[Any, Any]]", task: "Task | None") -> RawSamples:
    """Return the samples of a record; KeyError or IndexError if arrays are missing or do not fit together.

    A record of the first version needs its task for the names of the labels.
    """
    first = record.schema_version == FIRST
    if not np.isin(arrays["timed_example"], np.arange(len(arrays["answer"]))).all():
        raise IndexError("a timed example is not in the split")
    costs = {name.removeprefix(COST): values for name, values in arrays.items() if name.startswith(COST)}
    if any(values.shape != arrays["timed_example"].shape for values in costs.values()):
        raise IndexError("the number of costs differs from the number of timed requests")
    gaps = arrays.get("gap_ns")
    if gaps is not None and gaps.shape != arrays["call_ns"].shape:
        raise IndexError("the number of gaps differs from the number of calls")
    timed, answer = arrays["timed_answer"], arrays["answer"]
    labels = task.labels if task else ()
    answered = answer >= 0 if first else arrays["answered"]
    texts = [labels[number] if number >= 0 else "" for number in answer] if first else answer.tolist()
    return RawSamples(
        call_ns=arrays["call_ns"].astype(np.int64),
        call_round=arrays["call_round"].astype(np.int64),
        timed_example=arrays["timed_example"].astype(np.int64),
        timed_round=arrays["timed_round"].astype(np.int64),
        timed_answer=tuple(labels[number] for number in timed) if first else tuple(timed.tolist()),
        answers={index: texts[index] for index in np.flatnonzero(answered).tolist()},
        examples=len(answer),
        counts=_counts_of_right(arrays["correct"], len(labels)) if first else arrays["counts"],
        costs=costs,
        gap_ns=None if gaps is None else gaps.astype(np.int64),
    )


def _counts_of_right(correct: "np.ndarray[Any, Any]", labels: int) -> npt.NDArray[np.float64]:
    """Return counts of right answers alone, which is all that the first version holds."""
    scored = correct[correct >= 0]
    counts = np.zeros((len(scored), 2 + 3 * labels))
    counts[:, 0], counts[:, 1] = 1, scored
    return counts
