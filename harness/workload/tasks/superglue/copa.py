"""COPA, Choice of Plausible Alternatives: find the cause or the effect (Roemmele et al., 2011).

    row         {"premise": ..., "choice1": ..., "choice2": ..., "question": "cause", "idx": 0, "label": 1}
    input       premise + "because" choice1 (cause) or "so" choice1 (effect); the same with choice2
    labels      0 (choice1), 1 (choice2)
    score       accuracy
    prediction  {"idx": 0, "label": 1}

Each choice has a sequence of its own, and the higher score wins. With both in one sequence, as in
FastFormers, the answer would depend on their order.
"""

import json
from collections.abc import Iterable, Iterator, Sequence

from harness.common.errors import DataError
from harness.common.json_types import JsonObject
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.metrics import label_scoring
from harness.workload.tasks.prediction_rows import example_at, parse_prediction, shorten
from harness.workload.tasks.rows import Row, example_id, field, prediction_idx, text_field
from harness.workload.tasks.superglue.grouped import ChoiceTask

_CONNECTIVES = {"cause": "because", "effect": "so"}
_CHOICES = ("0", "1")


class Copa(ChoiceTask):
    """Two choices. An answer is the position of one: 0 or 1."""

    name = "copa"
    folder = "COPA"
    summary = "which choice is the cause or effect; accuracy"
    scoring = label_scoring(_CHOICES, ("accuracy",))

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return the row's one example."""
        premise = text_field(row, "premise", where)
        question = text_field(row, "question", where)
        if question not in _CONNECTIVES:
            raise DataError(f"the question must be cause or effect, got {json.dumps(question)}.", where=where)
        choices = (text_field(row, f"choice{number}", where) for number in (1, 2))
        inputs = tuple(TextInput(premise, f"{_CONNECTIVES[question]} {choice}") for choice in choices)
        gold = (_label(row, where),) if labelled else ()
        return [Example(example_id(row, where), inputs, gold, candidates=_CHOICES)]

    def valid(self, answer: str, example: Example) -> bool:
        """Return whether the answer is a choice."""
        del example
        return answer in _CHOICES

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return 1 for the correct choice and 0 for the other."""
        return tuple(int(choice == example.gold[0]) for choice in _CHOICES)

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return both choices."""
        del example
        return _CHOICES

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[JsonObject]:
        """Return the rows of the official prediction file; labels are numbers."""
        pairs = zip(examples, answers, strict=True)
        return [{"idx": prediction_idx(example.id), "label": int(answer)} for example, answer in pairs]

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield pairs of example id and choice from the rows of a prediction file."""
        by_idx = {prediction_idx(example.id): example for example in examples}
        for idx, label in map(parse_prediction, rows):
            if type(label) is not int or label not in (0, 1):
                raise ValueError(f"the label must be the number 0 or 1, got {shorten(label)}")
            yield example_at(by_idx, idx).id, str(label)


def _label(row: Row, where: str) -> str:
    label = field(row, "label", where)
    if type(label) is not int or str(label) not in _CHOICES:
        raise DataError(f"the label must be 0 or 1, got {json.dumps(label)}.", where=where)
    return str(label)


COPA = Copa()
