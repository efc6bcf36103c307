"""MultiRC: find the correct answers to a question about a passage (Khashabi et al., 2018).

    row         {"idx": 0, "passage": {"text": ..., "questions": [{"idx": 1, "question": ..., "answers":
                [{"idx": 2, "text": ..., "label": 1}, ...]}, ...]}}
    input       passage + question answer, for each answer
    labels      false, true for each answer; several may be true
    score       F1a: F1 over the answers of all questions; exact match of questions
    prediction  {"idx": 0, "passage": {"questions": [{"idx": 1, "answers": [{"idx": 2, "label": 1}, ...]},
                ...]}}

A question with all its answers is one example and one request. The passage comes first, and only it may be
truncated. An answer to the example is one 0 or 1 for each of its candidates: "0110".
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from harness.common.errors import DataError
from harness.common.json_types import JsonObject, JsonValue
from harness.workload.tasks.base import Head
from harness.workload.tasks.example import Example, Logits, Offsets, TextInput
from harness.workload.tasks.metrics import MULTIRC_SCORING
from harness.workload.tasks.prediction_rows import parse_prediction, shorten
from harness.workload.tasks.rows import (
    Row,
    example_id,
    field,
    list_field,
    object_field,
    prediction_idx,
    text_field,
)
from harness.workload.tasks.superglue.grouped import GroupedTask, local_id

_LABELS = ("false", "true")
_PREDICTION = (
    '{"idx": ..., "passage": {"questions": [{"idx": ..., "answers": [{"idx": ..., "label": 0}, ...]}, ...]}}'
)


class MultiRC(GroupedTask):
    """A question with several answers, each with a label of its own."""

    name = "multirc"
    folder = "MultiRC"
    summary = "which answers to a question are right; F1 over all answers (F1a) and exact match"
    head: Head = "sequence"
    labels = _LABELS
    scoring = MULTIRC_SCORING

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return an example for each question of the row's passage."""
        passage = object_field(row, "passage", where)
        text, passage_id = text_field(passage, "text", where), example_id(row, where)
        return [
            _question(question, text, passage_id, f"{where}, question {number}", labelled=labelled)
            for number, question in enumerate(list_field(passage, "questions", where), 1)
        ]

    def decide(self, logits: Logits, offsets: Offsets) -> list[str]:
        """Return 1 for each candidate whose logit for true is the higher one, else 0."""
        digits = "".join("01"[column] for column in np.argmax(logits, axis=1)) if len(logits) else ""
        return [digits[start:end] for start, end in pairwise(offsets)]

    def valid(self, answer: str, example: Example) -> bool:
        """Return whether the answer has a 0 or 1 for each candidate."""
        return len(answer) == len(example.inputs) and set(answer) <= {"0", "1"}

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return the label's position for each candidate."""
        return tuple(map(_LABELS.index, example.gold))

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return all candidates false, and all true."""
        return "0" * len(example.inputs), "1" * len(example.inputs)

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[JsonObject]:
        """Return the rows of the official prediction file: one for each passage."""
        questions: dict[str, list[JsonObject]] = {}
        for example, answer in zip(examples, answers, strict=True):
            labels = [
                {"idx": prediction_idx(candidate), "label": int(digit)}
                for candidate, digit in zip(example.candidates, answer, strict=True)
            ]
            question = {"idx": prediction_idx(local_id(example)), "answers": labels}
            questions.setdefault(example.cluster, []).append(question)
        return [
            {"idx": prediction_idx(passage), "passage": {"questions": of_passage}}
            for passage, of_passage in questions.items()
        ]

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield pairs of example id and answer from the rows of a prediction file."""
        by_passage: dict[int | str, dict[int | str, Example]] = {}
        for example in examples:
            questions = by_passage.setdefault(prediction_idx(example.cluster), {})
            questions[prediction_idx(local_id(example))] = example
        for row in rows:
            passage_idx, passage = _fields(row, "idx", "passage")
            (predicted,) = _fields(passage, "questions")
            questions = by_passage.get(passage_idx, {}) if type(passage_idx) in (int, str) else {}
            for question in _list(predicted):
                idx, answers = _fields(question, "idx", "answers")
                if type(idx) not in (int, str) or idx not in questions:
                    raise ValueError(
                        f"no example is question {shorten(idx)} of passage {shorten(passage_idx)}"
                    )
                yield questions[idx].id, _digits(_list(answers), questions[idx])


def _question(question: Row, passage: str, passage_id: str, where: str, *, labelled: bool) -> Example:
    text = text_field(question, "question", where)
    answers = list_field(question, "answers", where)
    candidates = tuple(str(answer.get("idx", number)) for number, answer in enumerate(answers))
    if len(set(candidates)) < len(candidates):
        raise DataError("two answers of the question have the same idx.", where=where)
    return Example(
        id=f"{passage_id}/{question.get('idx', where.rpartition(' ')[2])}",
        # a few official answers are empty: then the question stands alone
        inputs=tuple(TextInput(passage, f"{text} {text_field(answer, 'text', where)}") for answer in answers),
        gold=tuple(_label(answer, where) for answer in answers) if labelled else (),
        candidates=candidates,
        cluster=passage_id,
    )


def _label(answer: Row, where: str) -> str:
    label = field(answer, "label", where)
    if label not in (0, 1) or isinstance(label, str):
        raise DataError(f"the label must be 0 or 1, got {json.dumps(label)}.", where=where)
    return _LABELS[int(label)]


def _fields(value: JsonValue, *names: str) -> list[JsonValue]:
    """Return these fields of a JSON object that must have no others."""
    if not isinstance(value, dict) or set(value) != set(names):
        raise ValueError(f"expected a row {_PREDICTION}")
    return [value[name] for name in names]


def _list(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise ValueError(f"expected a row {_PREDICTION}")  # noqa: TRY004 -- the file is wrong, not our code
    return value


def _digits(answers: Sequence[JsonValue], example: Example) -> str:
    """Return the labels in the order of the candidates; each must be labelled once."""
    predictions = [parse_prediction(answer) for answer in answers]
    for _, label in predictions:
        if type(label) is not int or label not in (0, 1):
            raise ValueError(f"the label must be the number 0 or 1, got {shorten(label)}")
    labels = {idx: str(label) for idx, label in predictions}
    candidates = [prediction_idx(candidate) for candidate in example.candidates]
    if len(predictions) != len(candidates) or set(labels) != set(candidates):
        raise ValueError(
            f"question {local_id(example)} of passage {example.cluster} has {len(candidates)} answers, idx "
            f"{shorten(candidates)}: expected one label for each"
        )
    return "".join(labels[idx] for idx in candidates)


MULTIRC = MultiRC()
