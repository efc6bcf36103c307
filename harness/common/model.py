"""The base class of every typed value on disk, and JSON objects without a type of their own."""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from harness.common.json_types import MAX_INTEGER, JsonObject, JsonValue


def _check_numbers(value: JsonObject) -> JsonObject:
    """Return facts; ValueError where a number in them is not finite or beyond 64 bits."""
    waiting: list[JsonValue] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, int):
            if abs(item) > MAX_INTEGER:
                raise ValueError("a whole number is beyond 64 bits")
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"{item} is not a number in JSON")
    return value


JsonFacts = Annotated[dict[str, Any], AfterValidator(_check_numbers)]
"""A JSON object without a type of its own, whose numbers are finite and of at most 64 bits."""


class FrozenModel(BaseModel):
    """A part of a record: immutable; an unknown field, NaN and infinity are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
