"""The interface of a protocol, and readers that several protocols share.

    texts --body--> bytes --server--> bytes --parse, labels--> one name or column for each text

A server's label is a name, or the column of scores that have no names. Nobody knows the label of a column:
the user maps it (`baselines.servers.labels`).
"""

import json
import math
from collections.abc import Sequence
from typing import Protocol

from harness.common.inputs.json_text import parse_json
from harness.common.json_types import JsonValue
from harness.workload.tasks.example import TextInput

ServerLabel = str | int
"""The name of a label, or the number of a column without a name."""


class InvalidAnswer(ValueError):
    """An answer in another form than the protocol's; the message is a clause without full stop."""


class ServerProtocol(Protocol):
    """What a client of one server writes and reads."""

    @property
    def name(self) -> str:
        """The name on the command line."""

    @property
    def pairs(self) -> bool:
        """Whether a request can hold two texts."""

    @property
    def batches(self) -> bool:
        """Whether a request can hold several inputs."""

    def body(self, texts: Sequence[TextInput]) -> bytes:
        """Return the body of a request for these texts."""

    def parse(self, content: bytes) -> JsonValue:
        """Return the content of an answer; InvalidText where it cannot be read."""

    def labels(self, content: JsonValue, count: int) -> list[ServerLabel]:
        """Return the label of each of `count` texts, in order; InvalidAnswer for another form."""


class JsonAnswers:
    """The part of a protocol whose answers are JSON."""

    __slots__ = ()

    def parse(self, content: bytes) -> JsonValue:
        """Return the content of an answer; InvalidText where it is not JSON, or beyond limits."""
        return parse_json(content)


def dump(value: JsonValue) -> bytes:
    """Return a value as the bytes of a body."""
    return json.dumps(value, separators=(",", ":")).encode()


def as_list(value: JsonValue, what: str, count: int | None = None) -> list[JsonValue]:
    """Return a value that must be a list, of `count` elements if it is given."""
    if not isinstance(value, list):
        raise InvalidAnswer(f"expected a list of {what}, got {shown(value)}")
    if count is not None and len(value) != count:
        raise InvalidAnswer(f"expected {count} {what}, got {len(value)}")
    return value


def field_of(value: JsonValue, name: str) -> JsonValue:
    """Return a field of a value that must be an object."""
    if not isinstance(value, dict):
        raise InvalidAnswer(f"expected an object with {name!r}, got {shown(value)}")
    if name not in value:
        raise InvalidAnswer(f"expected a field {name!r}, got {', '.join(sorted(value)[:8]) or 'none'}")
    return value[name]


def as_label(value: JsonValue) -> ServerLabel:
    """Return a value that must be a label: a name, or the number of a column."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidAnswer(f"expected the name of a label, got {shown(value)}")
    return int(value)


def best_column(scores: JsonValue) -> int:
    """Return the column of the highest of several scores; of equals, the first."""
    numbers = [as_number(score) for score in as_list(scores, "scores")]
    if len(numbers) < 2:  # noqa: PLR2004 -- one score is no choice between labels
        raise InvalidAnswer(f"expected a score for each label, got {len(numbers)}")
    return max(range(len(numbers)), key=numbers.__getitem__)


def best_label(scores: JsonValue) -> ServerLabel:
    """Return the label with the highest score: of {"label": score}, or of [{"label": ..., "score": ...}]."""
    if isinstance(scores, dict):
        named = [(name, as_number(score)) for name, score in scores.items()]
    else:
        named = [
            (str(field_of(row, "label")), as_number(field_of(row, "score")))
            for row in as_list(scores, "labels")
        ]
    if not named:
        raise InvalidAnswer("expected at least one label, got none")
    return str(max(named, key=lambda pair: pair[1])[0])


def as_number(value: JsonValue) -> float:
    """Return a value that must be a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidAnswer(f"expected a finite number as a score, got {shown(value)}")
    return float(value)


def shown(value: JsonValue) -> str:
    """Return a value for a message, shortened."""
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 80 else f"{text[:80]}..."  # noqa: PLR2004 -- characters of a line
