"""The values of a ladder's recipes and engines, checked against the types of what they set.

learning_rate: 5e-5   a text by YAML 1.1, which has no exponent without a point: 0.00005
epochs: many          refused before anything is prepared
"""

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from harness.common.errors import UsageError

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}


def typed_values(kind: type[Any], values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the values for the fields of `kind`, numbers that are written as text as numbers.

    UsageError for a value of another type than that of its field. Fields of other types than numbers, texts,
    true or false, choices and lists of texts are not checked.
    """
    hints = get_type_hints(kind)
    return {name: _typed(name, value, hints.get(name), where) for name, value in values.items()}


def _typed(name: str, value: Any, hint: Any, where: str) -> Any:  # noqa: ANN401 -- of a YAML file
    kinds = _kinds(hint)
    if not kinds:
        return value
    if isinstance(value, str) and float in kinds and str not in kinds:
        value = _number(value)
    if any(_fits(value, kind) for kind in kinds):
        return value
    expected = " or ".join(dict.fromkeys(map(_words, kinds)))
    raise UsageError(f"{name} must be {expected}, got {value!r}.", where=where)


def _kinds(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401 -- a type
    """Return the types that a field may have; empty where one of them is not checked."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return kinds if all(kind in _WORDS or _is_list(kind) or _is_choice(kind) for kind in kinds) else ()


def _is_choice(kind: Any) -> bool:  # noqa: ANN401 -- a type
    return get_origin(kind) is Literal


def _is_list(kind: Any) -> bool:  # noqa: ANN401 -- a type
    return get_origin(kind) is Sequence and get_args(kind) == (str,)


def _fits(value: Any, kind: Any) -> bool:  # noqa: ANN401 -- of a YAML file, and a type
    if _is_choice(kind):
        return value in get_args(kind)
    if _is_list(kind):
        return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if kind in (int, float):
        return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _words(kind: Any) -> str:  # noqa: ANN401 -- a type
    if _is_choice(kind):
        return " or ".join(str(choice) for choice in get_args(kind))
    return "a list of texts" if _is_list(kind) else _WORDS[kind]


def _number(text: str) -> float | str:
    """Return the number that a text shows, else the text."""
    try:
        return float(text)
    except ValueError:
        return text
