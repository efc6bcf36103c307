"""ReCoRD: find the entity of a news passage that fills the placeholder in a query (Zhang et al., 2018).

    row         {"idx": 0, "passage": {"text": ..., "entities": [{"start": 0, "end": 8}, ...]},
                "qas": [{"idx": 1, "query": "... @placeholder ...", "answers": [{"text": ...}, ...]}, ...]}
    input       passage + query with the entity filled in, for each entity
    labels      the accepted answers, as texts
    score       token F1 and exact match, each with the best accepted answer
    prediction  {"idx": 1, "label": "text of the entity"}

Mentions with the same surface form are one candidate. A query with all its candidates is one example and one
request: each candidate has a sequence of its own, and the highest score wins. An answer is a position among
the candidates, or empty.
"""

from collections.abc import Iterable, Iterator, Sequence

from harness.common.errors import DataError
from harness.common.json_types import JsonObject
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.metrics import RECORD_SCORING, normalise
from harness.workload.tasks.prediction_rows import example_at, parse_prediction, shorten
from harness.workload.tasks.rows import (
    Row,
    example_id,
    int_field,
    list_field,
    object_field,
    prediction_idx,
    text_field,
)
from harness.workload.tasks.superglue.grouped import ChoiceTask, local_id

PLACEHOLDER = "@placeholder"
_HIGHLIGHT = "\n@highlight\n"


class ReCoRD(ChoiceTask):
    """A query with the entities of its passage as candidates."""

    name = "record"
    folder = "ReCoRD"
    summary = "which entity fills the placeholder; token F1 and exact match"
    scoring = RECORD_SCORING

    def parse(self, row: Row, where: str, *, labelled: bool) -> list[Example]:
        """Return an example for each query of the row's passage."""
        passage = object_field(row, "passage", where)
        text, passage_id = text_field(passage, "text", where), example_id(row, where)
        mentions = [_mention(entity, text, where) for entity in list_field(passage, "entities", where)]
        entities = tuple(dict.fromkeys(mentions))
        text = text.replace(_HIGHLIGHT, " ")
        return [
            _query(query, text, entities, passage_id, f"{where}-{number}", labelled=labelled)
            for number, query in enumerate(list_field(row, "qas", where), 1)
        ]

    def valid(self, answer: str, example: Example) -> bool:
        """Return whether the answer is a position among the candidates, or empty."""
        return not answer or answer in map(str, range(len(example.candidates)))

    def targets(self, example: Example) -> tuple[int, ...]:
        """Return 1 for each candidate that is an accepted answer, else 0."""
        gold = set(map(normalise, example.gold))
        return tuple(int(normalise(candidate) in gold) for candidate in example.candidates)

    def constants(self, example: Example) -> tuple[str, ...]:
        """Return the first candidate."""
        del example
        return ("0",)

    def answer_rows(self, examples: Sequence[Example], answers: Sequence[str]) -> list[JsonObject]:
        """Return the rows of the official prediction file: the entity's text, or an empty one."""
        return [
            {
                "idx": prediction_idx(local_id(example)),
                "label": example.candidates[int(answer)] if answer else "",
            }
            for example, answer in zip(examples, answers, strict=True)
        ]

    def answers_in(self, rows: Iterable[Row], examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
        """Yield pairs of example id and position from the rows of a prediction file."""
        by_idx = {prediction_idx(local_id(example)): example for example in examples}
        if len(by_idx) < len(examples):
            raise ValueError("two queries of the split have the same idx, so no row can name one")
        for idx, label in map(parse_prediction, rows):
            example = example_at(by_idx, idx)
            if label and label not in example.candidates:
                # without the text: a message may be kept in a record, which holds no text of an example
                raise ValueError(f"the label of idx {shorten(idx)} is not an entity of the passage")
            if not isinstance(label, str):
                raise ValueError(f"the label must be text, got {shorten(label)}")  # noqa: TRY004 -- a wrong file
            yield example.id, str(example.candidates.index(label)) if label else ""


def _mention(entity: Row, text: str, where: str) -> str:
    """Return the surface form of a mention; its `end` is inclusive."""
    start, end = (int_field(entity, name, where) for name in ("start", "end"))
    if not 0 <= start <= end < len(text):
        raise DataError(
            f"an entity must lie within the {len(text)} characters of its passage, got {start} to {end}.",
            where=where,
        )
    return text[start : end + 1]


def _query(
    query: Row, passage: str, entities: tuple[str, ...], passage_id: str, where: str, *, labelled: bool
) -> Example:
    text = text_field(query, "query", where)
    if PLACEHOLDER not in text:
        raise DataError(f"the query lacks {PLACEHOLDER}.", where=where)
    answers = list_field(query, "answers", where) if labelled else []
    return Example(
        id=f"{passage_id}/{example_id(query, where)}",
        inputs=tuple(TextInput(passage, text.replace(PLACEHOLDER, entity)) for entity in entities),
        gold=tuple(dict.fromkeys(text_field(answer, "text", where) for answer in answers)),
        candidates=entities,
        cluster=passage_id,
    )


RECORD = ReCoRD()
