"""Frozen dataclasses as JSON objects: what messages between processes and lines of a journal are made of.

    dataclass --to_json--> JSON object --from_json--> dataclass

A field that holds its empty default (None, False, 0, "", an empty collection) is left out. So older code can
read a message that has gained a field, as long as the field is not used.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from harness.common.json_types import JsonObject, JsonValue

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
Reader = Callable[[JsonValue], object]


def to_json(record: "DataclassInstance") -> JsonObject:
    """Return a dataclass as a JSON object, nested ones included.

    Lists of numbers and strings are passed on as they are: a visit holds tens of thousands of them.
    """
    defaults = _empty_defaults(type(record))
    return {
        name: _value(value)
        for name in _readers(type(record))
        if (value := getattr(record, name)) != defaults.get(name, MISSING)
    }


def from_json(kind: type[T], json: Mapping[str, JsonValue], *, strict: bool = False) -> T:
    """Return the dataclass that a JSON object describes; unknown fields are skipped, or refused if `strict`.

    Raises TypeError where a field is missing or, if `strict`, unknown.
    """
    readers = _readers(kind)
    if strict and (unknown := sorted(json.keys() - readers.keys())):
        raise TypeError(f"{kind.__name__} has no field {', '.join(unknown)}")
    return kind(
        **{
            name: json[name] if read is None else read(json[name])
            for name, read in readers.items()
            if name in json
        }
    )


def extended(kind: type[T], base: "DataclassInstance", **more: JsonValue) -> T:
    """Return a `kind` with the fields of `base`, whose class `kind` extends, and with `more`."""
    return kind(**{**{name: getattr(base, name) for name in _readers(type(base))}, **more})


def _value(value: object) -> JsonValue:
    if is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: _value(item) for name, item in value.items()}
    if isinstance(value, list | tuple) and value and not isinstance(value[0], int | float | str):
        return [_value(item) for item in value]
    return value


@cache
def _empty_defaults(kind: type) -> dict[str, JsonValue]:
    """Return the fields that may be left out, with their default."""
    given = {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(kind)
        if field.default is not MISSING or field.default_factory is not MISSING
    }
    return {name: default for name, default in given.items() if not default}


@cache
def _readers(kind: type) -> dict[str, Reader | None]:
    """Return what reads each field from JSON; None for one that JSON has as it is."""
    hints = get_type_hints(kind)
    return {field.name: _reader(hints[field.name]) for field in fields(kind)}


def _reader(hint: Any) -> Reader | None:  # noqa: ANN401 -- a type as `typing` writes it
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        readers = [_reader(member) for member in arguments if member is not NoneType]
        return partial(_optional, readers[0]) if len(readers) == 1 and readers[0] else None
    if origin is tuple:
        return partial(_tuple, _reader(arguments[0]))
    if origin in (Sequence, Mapping):
        read = _reader(arguments[-1])
        return read and partial(_list if origin is Sequence else _mapping, read)
    if is_dataclass(hint):
        return partial(from_json, hint)  # type: ignore[arg-type]
    return Path if hint is Path else getattr(hint, "model_validate", None)


def _optional(read: Reader, value: JsonValue) -> object:
    return None if value is None else read(value)


def _tuple(read: Reader | None, value: JsonValue) -> object:
    return tuple(value if read is None else map(read, value))


def _list(read: Reader, value: JsonValue) -> object:
    return [read(item) for item in value]


def _mapping(read: Reader, value: JsonValue) -> object:
    return {name: read(item) for name, item in value.items()}
