"""The protocols of text-embeddings-inference, Infinity, and of servers with vLLM's `/classify`.

tei       POST /predict    {"inputs": text, [first, second] or [[first, second], ...]}
                           [{"label", "score"}, ...], or one such list for each of several inputs
infinity  POST /classify   {"model", "input": [texts]}      {"data": [[{"label", "score"}, ...], ...]}
openai    POST /classify   {"model", "input": [texts]}      {"data": [{"index", "label", "probs"}, ...]}
"""

from collections.abc import Sequence
from dataclasses import dataclass

from baselines.servers.protocols.base import (
    InvalidAnswer,
    ServerLabel,
    as_label,
    as_list,
    best_column,
    best_label,
    dump,
    field_of,
    shown,
)
from harness.common.json_types import JsonValue
from harness.workload.tasks.example import TextInput


@dataclass(frozen=True, slots=True)
class TeiProtocol:
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
class InfinityProtocol:
    """`/classify` of Infinity, which takes single texts."""

    model: str
    name: str = "infinity"
    pairs: bool = False
    batches: bool = True

    def body(self, texts: Sequence[TextInput]) -> bytes:
        """Return the request."""
        return dump({"model": self.model, "input": [text.first for text in texts]})

    def labels(self, content: JsonValue, count: int) -> list[ServerLabel]:
        """Return the label with the highest score of each text."""
        return [best_label(row) for row in as_list(field_of(content, "data"), "answers", count)]


@dataclass(frozen=True, slots=True)
class OpenAiProtocol:
    """`/classify` as vLLM has it, which takes single texts; answers are placed by their `index`."""

    model: str
    name: str = "openai"
    pairs: bool = False
    batches: bool = True

    def body(self, texts: Sequence[TextInput]) -> bytes:
        """Return the request."""
        return dump({"model": self.model, "input": [text.first for text in texts]})

    def labels(self, content: JsonValue, count: int) -> list[ServerLabel]:
        """Return the label of each text; the column of the highest probability where it has no name."""
        rows = as_list(field_of(content, "data"), "answers", count)
        by_index = {_index(row): row for row in rows}
        if sorted(by_index) != list(range(count)):
            raise InvalidAnswer(
                f"expected an answer for each index below {count}, got {sorted(by_index)[:8]}"
            )
        return [_label(by_index[index]) for index in range(count)]


def _index(row: JsonValue) -> int:
    index = field_of(row, "index")
    if isinstance(index, bool) or not isinstance(index, int):
        raise InvalidAnswer(f"expected a number as index, got {shown(index)}")
    return index


def _label(row: JsonValue) -> ServerLabel:
    label = field_of(row, "label")
    return best_column(field_of(row, "probs")) if label is None else as_label(label)
