"""MultiRC: which answers to a question on a passage are right (Khashabi et al., 2018). F1a and exact match.

A question with all its answers is one request, and one example; several answers may be right. The passage
stands first and alone may be cut. An answer to the example is one 0 or 1 for each of its candidates: "0110".
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from harness.common.errors import DataError
from harness.workload.tasks.base import SPLITS, Head, read_examples, shown, written_answer
from harness.workload.tasks.example import Example, Logits, Offsets, TextInput
from harness.workload.tasks.metrics import MULTIRC_SCORING, Scoring
from harness.workload.tasks.rows import Row, field, idx_of, idx_written, list_field, object_field, text_field

_LABELS = ("false", "true")
_ROW = (
    '{"idx": ..., "passage": {"questions": [{"idx": ..., "answers": [{"idx": ..., "label": 0}, ...]}, ...]}}'
)


@dataclass(frozen=True, slots=True)
class MultiRC:
    """Every answer labelled on its own."""

    name: str = "multirc"
    folder: str = "MultiRC"
    summary: str = "which answers to a question are right; F1 over all answers (F1a) and exact match"
    head: Head = "sequence"
    labels: tuple[str, ...] = _LABELS
    model_task: str = "multirc"
    splits = SPLITS
    positional = False
    scoring: Scoring = MULTIRC_SCORING

    def read(self, path: Path, *, labelled: bool) -> list[Example]:
        """Read one official file: a line is a passage, and gives an example for each of its questions."""
        return read_examples(self, path, labelled=labelled)

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return an example for each question of the row's passage."""
        return _examples(row, where, labelled=labelled)

    def decide(self, logits: Logits, offsets: Offsets) -> list[str]:
        """Return 1 for each candidate whose logit for true is the higher, else 0."""
        marks = "".join("01"[column] for column in np.argmax(logits, axis=1)) if len(logits) else ""
        return [marks[low:high] for low, high in pairwise(offsets)]

    def valid(self, answer: str, example: Example) -> bool:
        """Say whether it has a 0 or 1 for each candidate."""
        return len(answer) == len(example.inputs) and set(answer) <= {"0", "1"}

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return the label's position for each candidate."""
        return tuple(map(_LABELS.index, example.gold))

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return none right, and all right."""
        return "0" * len(example.inputs), "1" * len(example.inputs)

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of the official prediction file: one for each passage."""
        passages: dict[str, list[dict[str, Any]]] = {}
        for example, answer in zip(examples, answers, strict=True):
            _, _, question = example.id.rpartition("/")
            labels = [
                {"idx": idx_written(name), "label": int(mark)}
                for name, mark in zip(example.candidates, answer, strict=True)
            ]
            asked = {"idx": idx_written(question), "answers": labels}
            passages.setdefault(example.cluster, []).append(asked)
        return [
            {"idx": idx_written(passage), "passage": {"questions": questions}}
            for passage, questions in passages.items()
        ]

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield the marks of the questions in rows of a prediction file with their example ids."""
        asked: dict[int | str, dict[int | str, Example]] = {}
        for example in examples:
            question = idx_written(example.id.rpartition("/")[2])
            asked.setdefault(idx_written(example.cluster), {})[question] = example
        for row in rows:
            name, passage = _members(row, "idx", "passage")
            (questions,) = _members(passage, "questions")
            of_passage = asked.get(name, {}) if type(name) in (int, str) else {}
            for question in _listed(questions):
                idx, answers = _members(question, "idx", "answers")
                if type(idx) not in (int, str) or idx not in of_passage:
                    raise ValueError(f"question {shown(idx)} of passage {shown(name)} is not asked")
                yield of_passage[idx].id, _marks(_listed(answers), of_passage[idx])


def _members(found: Any, *names: str) -> list[Any]:  # noqa: ANN401 -- a JSON value
    """Return these members of an object that has no others."""
    if not isinstance(found, dict) or set(found) != set(names):
        raise ValueError(f"a row is {_ROW}")
    return [found[name] for name in names]


def _listed(found: Any) -> list[Any]:  # noqa: ANN401 -- a JSON value
    if not isinstance(found, list):
        raise ValueError(f"a row is {_ROW}")  # noqa: TRY004 -- of a file, not of our code
    return found


def _marks(answers: Sequence[Any], example: Example) -> str:
    """Return the labels in the order of the candidates, each of which is to be answered once."""
    said = [written_answer(answer) for answer in answers]
    for _, label in said:
        if type(label) is not int or label not in (0, 1):
            raise ValueError(f"{shown(label)} is no label; labels are the numbers 0 and 1")
    marks = {idx: str(label) for idx, label in said}
    candidates = [idx_written(name) for name in example.candidates]
    if len(said) != len(candidates) or set(marks) != set(candidates):
        _, _, question = example.id.rpartition("/")
        raise ValueError(
            f"question {question} of passage {example.cluster} has {len(candidates)} answers, idx "
            f"{shown(candidates)}: each is to be labelled, once"
        )
    return "".join(marks[idx] for idx in candidates)


def _examples(row: Row, where: str, *, labelled: bool) -> list[Example]:
    passage = object_field(row, "passage", where)
    text, name = text_field(passage, "text", where), idx_of(row, where)
    return [
        _question(question, text, name, f"{where}, question {number}", labelled=labelled)
        for number, question in enumerate(list_field(passage, "questions", where), 1)
    ]


def _question(question: Row, passage: str, name: str, where: str, *, labelled: bool) -> Example:
    asked = text_field(question, "question", where)
    answers = list_field(question, "answers", where)
    return Example(
        id=f"{name}/{question.get('idx', where.rpartition(' ')[2])}",
        # a few official answers are empty: then the question stands alone
        inputs=tuple(TextInput(passage, f"{asked} {text_field(one, 'text', where)}") for one in answers),
        gold=tuple(_label(one, where) for one in answers) if labelled else (),
        candidates=tuple(str(one.get("idx", number)) for number, one in enumerate(answers)),
        cluster=name,
    )


def _label(answer: Row, where: str) -> str:
    label = field(answer, "label", where)
    if label not in (0, 1) or isinstance(label, str):
        raise DataError(f"label {json.dumps(label)} is not 0 or 1.", where=where)
    return _LABELS[int(label)]


MULTIRC = MultiRC()
