"""ReCoRD: which entity of a passage fills the placeholder in a query (Zhang et al., 2018). Token F1 and EM.

Mentions with the same surface form are one candidate; a query with all its candidates is one request, and one
example. Each candidate is scored in its own sequence and the highest wins. An answer is a position among the
candidates; the prediction file holds its text.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.common.errors import DataError
from harness.workload.tasks.base import SPLITS, Head, asked_at, best_of, read_examples, shown, written_answer
from harness.workload.tasks.example import Example, Logits, Offsets, TextInput
from harness.workload.tasks.metrics import RECORD_SCORING, Scoring, normalised
from harness.workload.tasks.rows import (
    Row,
    idx_of,
    idx_written,
    int_field,
    list_field,
    object_field,
    text_field,
)

PLACEHOLDER = "@placeholder"
_HIGHLIGHT = "\n@highlight\n"


@dataclass(frozen=True, slots=True)
class ReCoRD:
    """Candidates ranked by their score."""

    name: str = "record"
    folder: str = "ReCoRD"
    summary: str = "which entity fills the placeholder; token F1 and exact match"
    head: Head = "choice"
    labels: tuple[str, ...] = ("score",)
    model_task: str = "record"
    splits = SPLITS
    positional = False
    scoring: Scoring = RECORD_SCORING

    def read(self, path: Path, *, labelled: bool) -> list[Example]:
        """Read one official file: a line is a passage, and gives an example for each of its queries."""
        return read_examples(self, path, labelled=labelled)

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return an example for each query of the row's passage."""
        return _examples(row, where, labelled=labelled)

    def decide(self, logits: Logits, offsets: Offsets) -> list[str]:
        """Return the position of the candidate with the highest score, the first of equals."""
        return [str(place) for place in best_of(logits, offsets)]

    def valid(self, answer: str, example: Example) -> bool:
        """Say whether it is a position among the candidates, or nothing."""
        return not answer or answer in map(str, range(len(example.candidates)))

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return 1 for each candidate that is a gold answer, else 0."""
        gold = set(map(normalised, example.gold))
        return tuple(int(normalised(candidate) in gold) for candidate in example.candidates)

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return the first candidate."""
        del example
        return ("0",)

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[dict[str, Any]]:
        """Return the rows of the official prediction file: the answer's text, or an empty one."""
        return [
            {
                "idx": idx_written(example.id.rpartition("/")[2]),
                "label": example.candidates[int(answer)] if answer else "",
            }
            for example, answer in zip(examples, answers, strict=True)
        ]

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield the positions of the texts in rows of a prediction file with their example ids."""
        asked = {idx_written(example.id.rpartition("/")[2]): example for example in examples}
        for idx, label in map(written_answer, rows):
            example = asked_at(asked, idx)
            if label and label not in example.candidates:
                # without the text: a message may end in a record, which holds no text of an example
                raise ValueError(f"the label of idx {shown(idx)} is none of the passage's entities")
            if not isinstance(label, str):
                raise ValueError(f"{shown(label)} is not the text of an answer")  # noqa: TRY004 -- of a file
            yield example.id, str(example.candidates.index(label)) if label else ""


def _examples(row: Row, where: str, *, labelled: bool) -> list[Example]:
    passage = object_field(row, "passage", where)
    text, name = text_field(passage, "text", where), idx_of(row, where)
    mentions = [_mention(entity, text, where) for entity in list_field(passage, "entities", where)]
    told = text.replace(_HIGHLIGHT, " ")
    entities = tuple(dict.fromkeys(mentions))
    return [
        _query(query, told, entities, name, f"{where}-{number}", labelled=labelled)
        for number, query in enumerate(list_field(row, "qas", where), 1)
    ]


def _mention(entity: Row, text: str, where: str) -> str:
    """Return the surface form of a mention, whose `end` is inclusive."""
    start, end = (int_field(entity, side, where) for side in ("start", "end"))
    if not 0 <= start <= end < len(text):
        raise DataError(f"an entity stands at {start} to {end} of {len(text)} characters.", where=where)
    return text[start : end + 1]


def _query(
    query: Row, passage: str, entities: tuple[str, ...], name: str, where: str, *, labelled: bool
) -> Example:
    asked = text_field(query, "query", where)
    if PLACEHOLDER not in asked:
        raise DataError(f"a query lacks {PLACEHOLDER}.", where=where)
    answers = list_field(query, "answers", where) if labelled else []
    return Example(
        id=f"{name}/{idx_of(query, where)}",
        inputs=tuple(TextInput(passage, asked.replace(PLACEHOLDER, entity)) for entity in entities),
        gold=tuple(dict.fromkeys(text_field(answer, "text", where) for answer in answers)),
        candidates=entities,
        cluster=name,
    )


RECORD = ReCoRD()
