"""Parses JSON that somebody else wrote, with limits of depth and of numbers."""

import json
import math
import re
from collections import Counter
from typing import NoReturn

from harness.common.inputs.files import InvalidText, decode_text
from harness.common.json_types import MAX_INTEGER, JsonObject, JsonValue

MAX_DEPTH = 100
"""How many levels of lists and objects a text may have."""

_MAX_DIGITS = len(str(MAX_INTEGER)) + 1
# a complete string, so that brackets inside it are not counted, or one bracket
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


def parse_json(text: str | bytes, *, lenient: bool = False) -> JsonValue:
    """Return the value of a JSON text; InvalidText where it is not JSON, or beyond the limits.

    More than `MAX_DEPTH` levels are refused. So are, unless `lenient`, a field that is there twice, NaN and
    infinity, and whole numbers of more than 64 bits: the configuration of a checkpoint may hold them.
    """
    if isinstance(text, bytes):
        text = decode_text(text)
    check_depth(text)
    try:
        return (_LENIENT if lenient else _STRICT).decode(text)
    except InvalidText:
        raise
    except json.JSONDecodeError as problem:
        line = f"line {problem.lineno}, " if problem.lineno > 1 else ""
        raise InvalidText(f"not JSON ({problem.msg} at {line}column {problem.colno})") from None
    except ValueError:
        raise InvalidText("a whole number has thousands of digits") from None
    except RecursionError:
        raise _too_deep() from None


def parse_json_object(text: str | bytes, *, lenient: bool = False) -> JsonObject:
    """Return the value of a JSON text that must be an object; InvalidText as `parse_json`."""
    value = parse_json(text, lenient=lenient)
    if not isinstance(value, dict):
        raise InvalidText(f"expected a JSON object, got {type(value).__name__}")
    return value


def check_depth(text: str) -> None:
    """Raise InvalidText for a text of more than `MAX_DEPTH` levels: parsing takes a call for each."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRUCTURE.finditer(text):
        first = match[0][0]
        depth += (first in "[{") - (first in "]}")
        if depth > MAX_DEPTH:
            raise _too_deep()


def _too_deep() -> InvalidText:
    return InvalidText(f"lists and objects are nested more than {MAX_DEPTH} levels deep")


def _integer(digits: str) -> int:
    # by length first: converting takes time that grows with the square of it
    if len(digits) > _MAX_DIGITS or abs(value := int(digits)) > MAX_INTEGER:
        raise InvalidText(f"a whole number is beyond 64 bits ({digits[:20]}...)")
    return value


def _decimal(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise InvalidText(f"a number is too large ({digits[:20]})")
    return value


def _constant(name: str) -> NoReturn:
    raise InvalidText(f"{name} is not a number in JSON")


def _object(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        (repeated, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise InvalidText(f"the field {repeated[:40]!r} is there twice")
    return fields


_LENIENT = json.JSONDecoder()
_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_decimal, parse_int=_integer, parse_constant=_constant
)
