"""The base class of every typed value on disk, and JSON objects without a type of their own."""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from harness.common.json_types import MAX_INTEGER, JsonObject, JsonValue

_WITHOUT_NUMBERS = {str, bool, type(None)}


def _check_numbers(value: JsonObject) -> JsonObject:
    """Return facts; ValueError where a number in them is not finite or beyond 64 bits."""
    waiting: list[JsonValue] = [value]
    for container in waiting:  # grows meanwhile
        items = container.values() if isinstance(container, dict) else container
        if set(map(type, items)) <= _WITHOUT_NUMBERS:  # most containers: all their items at once
            continue
        for item in items:
            if isinstance(item, dict | list | tuple):
                waiting.append(item)
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


def first_problem(error: ValidationError) -> str:
    """Return the first problem of a validation, with its place: `records.0.seed: Field required`."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
