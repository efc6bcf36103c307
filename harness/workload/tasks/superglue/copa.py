"""COPA: which of two choices is the cause or the effect (Roemmele et al., 2011). Official metric: accuracy.

Each choice is scored in a sequence of its own, with the connective before it, and the higher score wins: both
in one sequence, as FastFormers has it, makes the answer depend on their order. Answers are positions, 0 or 1.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.common.errors import DataError
from harness.workload.tasks.base import SPLITS, Head, asked_at, best_of, read_examples, shown, written_answer
from harness.workload.tasks.example import Example, Logits, Offsets, TextInput
from harness.workload.tasks.metrics import Scoring, label_scoring
from harness.workload.tasks.rows import Row, field, idx_of, idx_written, text_field

_CONNECTIVES = {"cause": "because", "effect": "so"}
_CHOICES = ("0", "1")


@dataclass(frozen=True, slots=True)
class Copa:
    """Two choices, one request."""

    name: str = "copa"
    folder: str = "COPA"
    summary: str = "which choice is the cause or effect; accuracy"
    head: Head = "choice"
    labels: tuple[str, ...] = ("score",)
    model_task: str = "copa"
    splits = SPLITS
    positional = False
    scoring: Scoring = label_scoring(_CHOICES, ("accuracy",))  # noqa: RUF009 -- functions without state

    def read(self, path: Path, *, labelled: bool) -> list[Example]:
        """Read one official file into examples, in file order."""
        return read_examples(self, path, labelled=labelled)

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return the row's one example."""
        return [_example(row, where, labelled=labelled)]

    def decide(self, logits: Logits, offsets: Offsets) -> list[str]:
        """Return the choice with the higher score, the first of equals."""
        return [str(place) for place in best_of(logits, offsets)]

    def valid(self, answer: str, example: Example) -> bool:
        """Say whether it names a choice."""
        del example
        return answer in _CHOICES

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return 1 for the right choice and 0 for the other."""
        return tuple(int(choice == example.gold[0]) for choice in _CHOICES)

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return both positions."""
        del example
        return _CHOICES

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of the official prediction file; labels are numbers."""
        pairs = zip(examples, answers, strict=True)
        return [{"idx": idx_written(example.id), "label": int(answer)} for example, answer in pairs]

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield the choices in rows of a prediction file with their example ids."""
        asked = {idx_written(example.id): example for example in examples}
        for idx, label in map(written_answer, rows):
            if type(label) is not int or label not in (0, 1):
                raise ValueError(f"{shown(label)} is no choice; choices are the numbers 0 and 1")
            yield asked_at(asked, idx).id, str(label)


def _example(row: Row, where: str, *, labelled: bool) -> Example:
    premise = text_field(row, "premise", where)
    asked = text_field(row, "question", where)
    if asked not in _CONNECTIVES:
        raise DataError(f"question {asked!r} is neither cause nor effect.", where=where)
    choices = (text_field(row, f"choice{number}", where) for number in (1, 2))
    inputs = tuple(TextInput(premise, f"{_CONNECTIVES[asked]} {choice}") for choice in choices)
    gold = (_gold(row, where),) if labelled else ()
    return Example(idx_of(row, where), inputs, gold, candidates=_CHOICES)


def _gold(row: Row, where: str) -> str:
    label = field(row, "label", where)
    if type(label) is not int or str(label) not in _CHOICES:
        raise DataError(f"label {json.dumps(label)} is not 0 or 1.", where=where)
    return str(label)


COPA = Copa()
