"""Options from files: the one of `--config`, and `bench.yaml` in the working folder.

    flag > environment > the file of --config > bench.yaml > default

A file says options by their names. `sweep:` takes lists: those of an option that takes several values anyway
stay together in one run, all others are crossed, a run for each combination.

    task: boolq
    variants: [pytorch-dynamic, onnx-int8]
    sweep:
      threads: [1, 2]
      max-length: [128, 256]

A word that no option has is refused with its line and the nearest that one has: it must not measure something
else than was meant.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from harness.common.errors import UsageError, unknown_name

SWEEP = "sweep"
DEFAULTS = "bench.yaml"
"""The file of defaults in the working folder."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One option as a file says it: `value` as the command line would take it, and where it stands."""

    value: str | bool
    where: str


@dataclass(frozen=True, slots=True)
class SweepConfig:
    """What a file says: options by name, and the values that are to be crossed."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    axes: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AllowedNames:
    """What a file may say: all options, those that take several values anyway, those that can be crossed.

    What stands under a name of `others` is somebody else's.
    """

    options: Collection[str]
    lists: Collection[str]
    crossed: Collection[str]
    others: Collection[str] = ()


def read_sweep_file(path: Path, names: AllowedNames) -> SweepConfig:
    """Read a file; UsageError names the line of what is wrong with it."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        node, words = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except OSError as problem:
        raise UsageError(f"cannot be read: {problem.strerror}.", where=str(path)) from None
    except UnicodeDecodeError:
        raise UsageError("not UTF-8 text.", where=str(path)) from None
    except yaml.YAMLError as problem:
        raise UsageError(f"not YAML ({' '.join(str(problem).split())}).", where=str(path)) from None
    if words is None:
        return SweepConfig()
    places = _places(node, words, path.name)
    settings: dict[str, Setting] = {}
    axes: dict[str, tuple[Setting, ...]] = {}
    for name, value in words.items():
        if name in names.others:
            continue
        if name == SWEEP:
            swept = _swept(value, _inner(node, SWEEP), path.name, names)
            settings |= {each: found for each, found in swept.items() if isinstance(found, Setting)}
            axes |= {each: found for each, found in swept.items() if isinstance(found, tuple)}
            continue
        where = places[name]
        if name not in names.options:
            raise _unknown(name, [*names.options, SWEEP], where)
        settings[name] = Setting(_option(value, where, several=name in names.lists), where)
    return SweepConfig(settings, axes)


def combinations(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the values, the last axis moving fastest; one empty one without axes."""
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def _swept(
    value: Any,  # noqa: ANN401 -- a YAML value
    node: Any,  # noqa: ANN401 -- a YAML node
    file: str,
    names: AllowedNames,
) -> dict[str, Setting | tuple[Setting, ...]]:
    places = _places(node, value, file)
    found: dict[str, Setting | tuple[Setting, ...]] = {}
    for name, values in value.items():
        where = places[name]
        if name not in (*names.lists, *names.crossed):
            raise _unknown(name, [*names.lists, *names.crossed], where)
        many = values if isinstance(values, list) else [values]
        if not many:
            raise UsageError(f"{name} has no value.", where=where)
        if name in names.lists:
            found[name] = Setting(_option(many, where, several=True), where)
            continue
        each = [_word(one, where) for one in many]
        if len(set(each)) < len(each):
            raise UsageError(f"{name} names a value twice.", where=where, remedy="Name each value once.")
        found[name] = tuple(Setting(one, where) for one in each)
    return found


def _option(value: Any, where: str, *, several: bool) -> str | bool:  # noqa: ANN401 -- a YAML value
    """Return a value as the command line would take it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        if not several:
            raise UsageError(
                "this option takes one value.", where=where, remedy=f"Put a list of them under `{SWEEP}:`."
            )
        # the variant `null`, unquoted, is YAML's word for nothing
        return ",".join("null" if one is None else _word(one, where) for one in value)
    return _word(value, where)


def _word(value: Any, where: str) -> str:  # noqa: ANN401 -- a YAML value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError("a value is a word or a number.", where=where)
    return str(value)


def _places(node: Any, words: Any, file: str) -> dict[str, str]:  # noqa: ANN401 -- YAML
    """Return where each name stands, as FILE:LINE; UsageError unless it is a mapping with each name once."""
    if not isinstance(words, Mapping) or not all(isinstance(name, str) for name in words):
        line = f":{node.start_mark.line + 1}" if node is not None else ""
        raise UsageError("here should be options by name.", where=f"{file}{line}", remedy="As in threads: 2")
    found: dict[str, str] = {}
    for key, _ in node.value:
        where = f"{file}:{key.start_mark.line + 1}"
        if key.value in found:
            raise UsageError(f"{key.value} stands there twice, also at {found[key.value]}.", where=where)
        found[key.value] = where
    return found


def _inner(node: Any, name: str) -> Any:  # noqa: ANN401 -- YAML nodes
    return next(value for key, value in node.value if key.value == name)


def _unknown(name: str, known: Collection[str], where: str) -> UsageError:
    found = unknown_name("option", name.replace("_", "-") if name.replace("_", "-") in known else name, known)
    return UsageError(f"unknown option {name!r}.", where=where, remedy=found.remedy)
