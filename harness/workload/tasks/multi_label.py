"""Tasks with any number of labels per example, none included.

    row         {"first": ..., "label": ["toxic", "insult"], "idx": 0}
    labels      each holds or not, independently of the others
    answer      a 0 or 1 for each label, "101": 1 where sigmoid(logit) is at least the threshold
    score       micro F1, macro F1, subset accuracy
    prediction  {"idx": 0, "label": ["toxic", "insult"]}

One threshold holds for all labels and all systems. `calibrate_threshold` chooses it from answers to training
examples.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.common.errors import DataError
from harness.common.json_types import JsonObject, JsonValue
from harness.workload.tasks.base import SPLITS, Head, read_examples
from harness.workload.tasks.example import Example, Logits, Offsets, TextInput
from harness.workload.tasks.metrics import Scoring
from harness.workload.tasks.prediction_rows import example_at, parse_prediction, shorten
from harness.workload.tasks.rows import Row, example_id, field, prediction_idx

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_THRESHOLD = 0.5
"""The probability from which a label holds, unless another one is given or calibrated."""

THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(1, 100))
"""The thresholds that calibration chooses from."""


@dataclass(frozen=True, slots=True)
class MultiLabelTask:
    """A task with any number of labels per example; `lay_out` turns a row into the model's input.

    Gold and answers have a 0 or 1 for each label, in the order of `labels`; gold is one such string.
    """

    name: str
    folder: str
    summary: str
    lay_out: Callable[[Row, str], TextInput]
    labels: tuple[str, ...]
    scoring: Scoring
    threshold: float = DEFAULT_THRESHOLD
    head: Head = "multi_label"
    splits: Mapping[str, str] = dataclasses.field(default_factory=lambda: SPLITS)
    positional: bool = False

    @property
    def model_task(self) -> str:
        """The task whose models answer."""
        return self.name

    def read(self, path: "Path", *, labelled: bool) -> list[Example]:
        """Read one file of rows into examples, in file order."""
        return read_examples(self, path, labelled=labelled)

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return the row's one example."""
        gold = (self._gold(row, where),) if labelled else ()
        return [Example(example_id(row, where), (self.lay_out(row, where),), gold)]

    def decide(self, logits: Logits, offsets: Offsets) -> list[str]:
        """Return 1 for each label whose probability is at least the threshold, else 0."""
        del offsets  # one sequence per request
        # the logit of the threshold, in float64: at 0.5 it is exactly 0, and no exponential is needed
        holds = logits >= np.float64(math.log(self.threshold / (1 - self.threshold)))
        return ["".join("01"[value] for value in row) for row in holds.astype(int).tolist()]

    def valid(self, answer: str, example: Example) -> bool:
        """Return whether the answer has a 0 or 1 for each label."""
        del example
        return len(answer) == len(self.labels) and set(answer) <= {"0", "1"}

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return 1 for each label that holds, else 0."""
        return tuple(map(int, example.gold[0]))

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return no label, and all labels."""
        del example
        return "0" * len(self.labels), "1" * len(self.labels)

    def constant_answers(self, examples: Sequence[Example]) -> list[list[str]]:
        """Return the constant answers of which one has the best score of all, for each metric.

        For micro and macro F1 it has the most frequent labels, so many of them; for subset accuracy it is the
        most frequent set.
        """
        gold = [example.gold[0] for example in examples]
        frequencies = [sum(digits[at] == "1" for digits in gold) for at in range(len(self.labels))]
        ranked = sorted(range(len(self.labels)), key=lambda at: -frequencies[at])
        sets = [self._digits(ranked[:size]) for size in range(len(self.labels) + 1)]
        ((most_frequent, _),) = Counter(gold).most_common(1)
        return [[answer] * len(examples) for answer in dict.fromkeys([*sets, most_frequent])]

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[JsonObject]:
        """Return the rows of the prediction file: the names of the labels that hold, in the task's order."""
        pairs = zip(examples, answers, strict=True)
        return [{"idx": prediction_idx(example.id), "label": self.names(answer)} for example, answer in pairs]

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield pairs of example id and answer from the rows of a prediction file."""
        by_idx = {prediction_idx(example.id): example for example in examples}
        for row in rows:
            idx, labels = parse_prediction(row)
            yield example_at(by_idx, idx).id, self._answer(labels)

    def names(self, answer: str) -> list[str]:
        """Return the names of the labels that hold."""
        return [label for label, digit in zip(self.labels, answer, strict=True) if digit == "1"]

    def _answer(self, labels: JsonValue) -> str:
        """Return the answer that a list of names stands for; ValueError where it is not one."""
        if not isinstance(labels, list):
            raise ValueError(f"the label must be a list of labels, got {shorten(labels)}")  # noqa: TRY004 -- of a file
        unknown = [label for label in labels if label not in self.labels]
        if unknown:
            raise ValueError(f"labels must be among {', '.join(self.labels)}, got {shorten(unknown[0])}")
        if len(set(labels)) < len(labels):
            raise ValueError(f"each label may be listed once, got {shorten(labels)}")
        return self._digits([self.labels.index(label) for label in labels])

    def _digits(self, positions: Iterable[int]) -> str:
        chosen = set(positions)
        return "".join("01"[at in chosen] for at in range(len(self.labels)))

    def _gold(self, row: Row, where: str) -> str:
        try:
            return self._answer(field(row, "label", where))
        except ValueError as error:
            raise DataError(f"{error}.", where=where) from None


@dataclass(frozen=True, slots=True)
class ThresholdCalibration:
    """The threshold with the best primary metric on `examples` examples, and the metric there and at 0.5."""

    threshold: float
    metric: str
    examples: int
    score: float
    score_at_half: float


def calibrate_threshold(
    task: MultiLabelTask, examples: Sequence[Example], logits: Logits
) -> ThresholdCalibration:
    """Return the best threshold of `THRESHOLDS` for these answers; of equals, the one nearest to 0.5.

    `logits` is [examples, labels], with columns in the order of the task's labels.
    """
    metric = task.scoring.metrics[0]
    offsets = np.arange(len(examples) + 1)

    def score(threshold: float) -> float:
        candidate = dataclasses.replace(task, threshold=threshold)
        return task.scoring(examples, candidate.decide(logits, offsets))[metric]

    scores = {threshold: score(threshold) for threshold in THRESHOLDS}
    best = max(THRESHOLDS, key=lambda threshold: (scores[threshold], -abs(threshold - DEFAULT_THRESHOLD)))
    return ThresholdCalibration(best, metric, len(examples), scores[best], scores[DEFAULT_THRESHOLD])
