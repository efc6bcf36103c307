"""The protocols of text-embeddings-inference, Infinity, and of servers with vLLM's `/classify` or `/score`.

tei       POST /predict    {"inputs": text, [first, second] or [[first, second], ...]}
                           [{"label", "score"}, ...], or one such list for each of several inputs
infinity  POST /classify   {"model", "input": [texts]}      {"data": [[{"label", "score"}, ...], ...]}
openai    POST /classify   {"model", "input": [texts]}      {"data": [{"index", "label", "probs"}, ...]}
openai    POST /score      {"model", "text_1": [...], "text_2": [...]}   {"data": [{"index", "score"}, ...]}
"""

from collections.abc import Sequence
from dataclasses import dataclass

from baselines.servers.protocols.base import (
    InvalidAnswer,
    JsonAnswers,
    ServerLabel,
    as_label,
    as_list,
    as_number,
    best_column,
    best_label,
    dump,
    field_of,
    shown,
)
from harness.common.errors import UnsupportedError
from harness.common.json_types import JsonValue
from harness.workload.tasks.example import TextInput


@dataclass(frozen=True, slots=True)
class TeiProtocol(JsonAnswers):
    """`/predict` of text-embeddings-inference, which takes single texts and pairs.

    The server truncates a text that is too long for its model; else it would refuse it.
    """

    name: str = "tei"
    pairs: bool = True
    batches: bool = True

    def body(self, texts: Sequence[TextInput]) -> bytes:
        """Return the request."""
        inputs = [[part for part in (text.first, text.second) if part is not None] for text in texts]
        single: JsonValue = inputs[0][0] if len(inputs[0]) == 1 else inputs[0]
        return dump({"inputs": single if len(inputs) == 1 else inputs, "truncate": True})

    def labels(self, content: JsonValue, count: int) -> list[ServerLabel]:
        """Return the label with the highest score of each text."""
        rows = [content] if count == 1 else as_list(content, "answers", count)
        return [best_label(row) for row in rows]


@dataclass(frozen=True, slots=True)
class InfinityProtocol(JsonAnswers):
    """`/classify` of Infinity, which takes single texts."""

    model: str
    name: str = "infinity"
    pairs: bool = False
    batches: bool = True

    def body(self, texts: Sequence[TextInput]) -> bytes:
        """Return the request."""
        return _classify_body(self.model, texts)

    def labels(self, content: JsonValue, count: int) -> list[ServerLabel]:
        """Return the label with the highest score of each text."""
        return [best_label(row) for row in as_list(field_of(content, "data"), "answers", count)]


@dataclass(frozen=True, slots=True)
class OpenAiProtocol(JsonAnswers):
    """`/classify` as vLLM has it, which takes single texts; answers are placed by their `index`."""

    model: str
    name: str = "openai"
    pairs: bool = False
    batches: bool = True

    def body(self, texts: Sequence[TextInput]) -> bytes:
        """Return the request."""
        return _classify_body(self.model, texts)

    def labels(self, content: JsonValue, count: int) -> list[ServerLabel]:
        """Return the label of each text; the column of the highest probability where it has no name."""
        return [_label(row) for row in _by_index(content, count)]


SCORE_LABELS = ("score_0", "score_1")
"""What `/score` answers as labels: a score below 0.5, and from 0.5 on. Only the user knows what they mean."""


@dataclass(frozen=True, slots=True)
class ScoreProtocol(JsonAnswers):
    """`/score` as vLLM has it, which takes pairs of texts and returns the probability that they match."""

    model: str
    name: str = "openai"
    pairs: bool = True
    batches: bool = True

    def body(self, texts: Sequence[TextInput]) -> bytes:
        """Return the request; UnsupportedError for single texts."""
        seconds = [text.second for text in texts]
        if None in seconds:
            raise UnsupportedError(
                "/score compares two texts, and the task has one.", remedy="Name /classify instead."
            )
        return dump({"model": self.model, "text_1": [text.first for text in texts], "text_2": seconds})

    def labels(self, content: JsonValue, count: int) -> list[ServerLabel]:
        """Return for each pair on which side of 0.5 its score is."""
        return [_side(as_number(field_of(row, "score"))) for row in _by_index(content, count)]


def _classify_body(model: str, texts: Sequence[TextInput]) -> bytes:
    return dump({"model": model, "input": [text.first for text in texts]})


def _by_index(content: JsonValue, count: int) -> list[JsonValue]:
    """Return the answers in the order of their indexes."""
    rows = {_index(row): row for row in as_list(field_of(content, "data"), "answers", count)}
    if sorted(rows) != list(range(count)):
        raise InvalidAnswer(f"expected an answer for each index below {count}, got {sorted(rows)[:8]}")
    return [rows[index] for index in range(count)]


def _side(score: float) -> ServerLabel:
    if not 0 <= score <= 1:
        raise InvalidAnswer(f"expected a score between 0 and 1, got {score:g}")
    return SCORE_LABELS[score >= 0.5]  # noqa: PLR2004 -- where the two classes are equally probable


def _index(row: JsonValue) -> int:
    index = field_of(row, "index")
    if isinstance(index, bool) or not isinstance(index, int):
        raise InvalidAnswer(f"expected a number as index, got {shown(index)}")
    return index


def _label(row: JsonValue) -> ServerLabel:
    label = field_of(row, "label")
    return best_column(field_of(row, "probs")) if label is None else as_label(label)
