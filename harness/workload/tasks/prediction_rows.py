"""Checks of single rows of a prediction file; a ValueError describes what is wrong with one."""

import json
from collections.abc import Mapping

from harness.common.json_types import JsonValue
from harness.workload.tasks.example import Example
from harness.workload.tasks.rows import prediction_idx

_MAX_SHOWN = 40


def parse_prediction(row: JsonValue) -> tuple[int | str, JsonValue]:
    """Return idx and label of a row `{"idx": ..., "label": ...}`; ValueError where it has another form."""
    if not isinstance(row, dict) or set(row) != {"idx", "label"}:
        fields = ", ".join(sorted(row)) if isinstance(row, dict) else shorten(row)
        raise ValueError(f'expected {{"idx": ..., "label": ...}}, got {fields or "no fields"}')
    if type(row["idx"]) not in (int, str):
        raise ValueError(f"idx must be a whole number or text, got {shorten(row['idx'])}")
    return row["idx"], row["label"]


def example_at(examples: Mapping[int | str, Example], idx: int | str) -> Example:
    """Return the example with this idx; ValueError where there is none."""
    if idx not in examples:
        similar = [other for other in (str(idx), prediction_idx(str(idx))) if other in examples]
        hint = f"; did you mean {json.dumps(similar[0])}" if similar else ""
        raise ValueError(f"no example has idx {shorten(idx)}{hint}")
    return examples[idx]


def shorten(value: JsonValue) -> str:
    """Return a JSON value for a message: on one line, and at most 40 characters of it."""
    text = json.dumps(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
