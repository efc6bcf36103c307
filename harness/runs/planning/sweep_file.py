"""Options from files: the one of `--config`, and `bench.yaml` in the working folder.

    flag > environment > the file of --config > bench.yaml > default

A file gives options by their names. `sweep:` takes lists: those of an option that takes several values anyway
stay together in one run, all others are crossed, a run for each combination.

    task: boolq
    variants: [pytorch-dynamic, onnx-int8]
    sweep:
      threads: [1, 2]
      max-length: [128, 256]

A name that no option has is refused with its line and the nearest name, so that nothing else is measured than
was meant.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.common.errors import UsageError, unknown_name
from harness.common.inputs.yaml_text import read_yaml
from harness.common.json_types import JsonValue

if TYPE_CHECKING:
    import yaml

T = TypeVar("T")

SWEEP = "sweep"
DEFAULTS = "bench.yaml"
"""The file of defaults in the working folder."""

MAX_COMBINATIONS = 10_000
"""How many runs a sweep may cross: at a minute each, a week."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One option in a file: `value` as the command line would take it, and its place as FILE:LINE."""

    value: str | bool | list[str]
    where: str


@dataclass(frozen=True, slots=True)
class SweepConfig:
    """The contents of a file: options by name, and the values that are crossed."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    axes: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AllowedNames:
    """The names that a file may use: all options, those that take several values, those that can be crossed.

    Whatever is under a name of `others` belongs to another reader. An option of `repeated` may be given more
    than once.
    """

    options: Collection[str]
    lists: Collection[str]
    crossed: Collection[str]
    others: Collection[str] = ()
    repeated: Collection[str] = ()


def read_sweep_file(path: Path, names: AllowedNames) -> SweepConfig:
    """Read a file; UsageError names the line of what is wrong with it."""
    file = read_yaml(path, path.name)
    if file.value is None:
        return SweepConfig()
    node, document = file.node, file.value
    places = _places(node, document, path.name)
    settings: dict[str, Setting] = {}
    axes: dict[str, tuple[Setting, ...]] = {}
    for name, value in document.items():
        if name in names.others:
            continue
        if name == SWEEP:
            lists, crossed = _swept(value, _child(node, SWEEP), path.name, names)
            settings |= lists
            axes |= crossed
            continue
        where = places[name]
        if name not in names.options:
            raise _unknown(name, [*names.options, SWEEP], where)
        if name in names.repeated:
            values = value if isinstance(value, list) else [value]
            settings[name] = Setting([_text(item, where) for item in values], where)
            continue
        settings[name] = Setting(_option(value, where, several=name in names.lists), where)
    return SweepConfig(settings, axes)


def combinations(axes: Mapping[str, Sequence[T]]) -> list[dict[str, T]]:
    """Return every combination of the values, the last axis moving fastest; one empty one without axes.

    Raises UsageError for more than `MAX_COMBINATIONS`, before any is made.
    """
    count = math.prod(map(len, axes.values()))
    if count > MAX_COMBINATIONS:
        sizes = " x ".join(f"{len(values):,} of {name}" for name, values in axes.items())
        raise UsageError(
            f"the sweep crosses {sizes} = {count:,} combinations, and at most {MAX_COMBINATIONS:,} are run.",
            remedy="Name fewer values, or split the sweep into several files.",
        )
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def _swept(
    document: JsonValue, node: "yaml.Node", file: str, names: AllowedNames
) -> tuple[dict[str, Setting], dict[str, tuple[Setting, ...]]]:
    """Return the lists that stay together in one run, and the values that are crossed."""
    places = _places(node, document, file)
    lists: dict[str, Setting] = {}
    crossed: dict[str, tuple[Setting, ...]] = {}
    for name, value in document.items():
        where = places[name]
        if name not in (*names.lists, *names.crossed):
            raise _unknown(name, [*names.lists, *names.crossed], where)
        values = value if isinstance(value, list) else [value]
        if not values:
            raise UsageError(f"{name} has no value.", where=where)
        if name in names.lists:
            lists[name] = Setting(_option(values, where, several=True), where)
            continue
        texts = [_text(value, where) for value in values]
        if len(set(texts)) < len(texts):
            raise UsageError(f"{name} names a value twice.", where=where, remedy="Name each value once.")
        crossed[name] = tuple(Setting(text, where) for text in texts)
    return lists, crossed


def _option(value: JsonValue, where: str, *, several: bool) -> str | bool:
    """Return a value as the command line would take it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        if not several:
            raise UsageError(
                "this option takes one value.", where=where, remedy=f"Put a list of them under `{SWEEP}:`."
            )
        # the variant `null`, unquoted, is None in YAML
        return ",".join("null" if item is None else _text(item, where) for item in value)
    return _text(value, where)


def _text(value: JsonValue, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError("a value is a word or a number.", where=where)
    return str(value)


def _places(node: "yaml.Node", document: JsonValue, file: str) -> dict[str, str]:
    """Return the place of each name as FILE:LINE; UsageError unless it is a mapping from names."""
    if not isinstance(document, Mapping) or not all(isinstance(name, str) for name in document):
        line = f":{node.start_mark.line + 1}" if node is not None else ""
        raise UsageError("here should be options by name.", where=f"{file}{line}", remedy="As in threads: 2")
    # names that `<<` merges come first, and the mapping's own replace them
    return {key.value: f"{file}:{key.start_mark.line + 1}" for key, _ in node.value}


def _child(node: "yaml.Node", name: str) -> "yaml.Node":
    return next(value for key, value in reversed(node.value) if key.value == name)


def _unknown(name: str, known: Iterable[str], where: str) -> UsageError:
    known = list(known)
    hyphenated = name.replace("_", "-")
    nearest = unknown_name("option", hyphenated if hyphenated in known else name, known)
    return UsageError(f"unknown option {name!r}.", where=where, remedy=nearest.remedy)
