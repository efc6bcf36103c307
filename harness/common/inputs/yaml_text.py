"""Reads YAML that a user wrote: one loader with limits for ladders, sweeps, rules and prices.

    text --nodes, with limits--> values

Only what JSON can hold becomes a value: a date stays text, and a tag of another type is an error. An alias is
allowed, but the values that it stands for count each time, so that a small file cannot grow without limit.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.common.errors import UsageError
from harness.common.inputs.files import CONFIGURATION, InvalidText, decode_text, read_input
from harness.common.json_types import MAX_INTEGER, JsonValue

if TYPE_CHECKING:
    import yaml

MAX_LEVELS = 30
"""How many levels of lists and mappings a file may have."""

MAX_VALUES = 20_000
"""How many values a file may hold, with every alias replaced by what it stands for."""

_TAG = "tag:yaml.org,2002:"
_Construct = Callable[[Any, Any], JsonValue]


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A file as values, and as nodes, which have lines; `node` is None for an empty file."""

    value: JsonValue
    node: "yaml.Node | None"


def read_yaml(path: Path, where: str | None = None) -> YamlDocument:
    """Read a YAML file; UsageError with its line where it is not YAML, or beyond the limits.

    `where` names the file in errors of its content, by default its path.
    """
    content = read_input(path, CONFIGURATION, UsageError)
    try:
        text = decode_text(content, "utf-8-sig")
    except InvalidText as problem:
        raise UsageError(f"{problem}.", where=str(path), remedy="Save the file as UTF-8.") from None
    return parse_yaml(text, where or str(path))


def parse_yaml(text: str, where: str) -> YamlDocument:
    """Return the values of a YAML text; UsageError where it is not YAML, or beyond the limits."""
    import yaml

    try:
        loader = _loader_class()(text)  # the reader refuses characters that YAML does not allow
        node = loader.get_single_node()
        if node is None:
            return YamlDocument(None, None)
        _check_values(node, where)
        return YamlDocument(loader.construct_document(node), node)
    except yaml.MarkedYAMLError as problem:
        reasons = ", ".join(filter(None, (problem.context, problem.problem)))
        raise _error(f"not YAML ({reasons[:200]}).", where, problem.problem_mark) from None
    except yaml.YAMLError as problem:
        raise _error(f"not YAML ({' '.join(str(problem).split())[:200]}).", where, None) from None


def _error(message: str, where: str, mark: "yaml.Mark | None", remedy: str | None = None) -> UsageError:
    line = f":{mark.line + 1}" if mark is not None else ""
    return UsageError(message, where=f"{where}{line}", remedy=remedy)


def _check_values(root: "yaml.Node", where: str) -> None:
    """Raise UsageError where an alias is part of itself, a name repeats, or the values are too many."""
    counts: dict[int, int] = {}
    unfinished: set[int] = set()

    def count(node: "yaml.Node") -> int:
        if id(node) in unfinished:
            raise _error("an alias stands for a value that it is part of.", where, node.start_mark)
        if id(node) not in counts:
            unfinished.add(id(node))
            counts[id(node)] = 1 + sum(map(count, _children(node, where)))
            unfinished.remove(id(node))
        if counts[id(node)] > MAX_VALUES:
            message = f"the file holds more than {MAX_VALUES:,} values, with its aliases written out."
            raise _error(message, where, node.start_mark, "Split the file, or use fewer aliases.")
        return counts[id(node)]

    count(root)


def _children(node: "yaml.Node", where: str) -> Iterator["yaml.Node"]:
    """Yield the nodes below a node; UsageError where a mapping has a name twice."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != f"{_TAG}merge":
                if key.value in lines:
                    first = f"{where}:{lines[key.value]}"
                    raise _error(f"{key.value} is there twice, also at {first}.", where, key.start_mark)
                lines[key.value] = key.start_mark.line + 1
            yield from (key, value)


@cache
def _loader_class() -> "type[yaml.SafeLoader]":
    """Return a loader of nested lists and mappings, up to `MAX_LEVELS`, of the values that JSON has."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
        """The safe loader with a limit of levels, without dates, binary data, sets and ordered mappings."""

        yaml_constructors = {  # noqa: RUF012 -- the name and the kind that PyYAML expects
            f"{_TAG}null": yaml.SafeLoader.construct_yaml_null,
            f"{_TAG}bool": _checked(yaml.SafeLoader.construct_yaml_bool, "true or false"),
            f"{_TAG}int": _checked(yaml.SafeLoader.construct_yaml_int, "a whole number of at most 64 bits"),
            f"{_TAG}float": _checked(yaml.SafeLoader.construct_yaml_float, "a finite number"),
            f"{_TAG}str": yaml.SafeLoader.construct_yaml_str,
            f"{_TAG}timestamp": yaml.SafeLoader.construct_yaml_str,
            f"{_TAG}seq": yaml.SafeLoader.construct_yaml_seq,
            f"{_TAG}map": yaml.SafeLoader.construct_yaml_map,
            None: yaml.SafeLoader.construct_undefined,
        }
        levels = 0

        def compose_node(self, parent: "yaml.Node", index: object) -> "yaml.Node":
            self.levels += 1
            if self.levels > MAX_LEVELS:
                problem = f"lists and mappings are nested more than {MAX_LEVELS} levels deep"
                raise yaml.composer.ComposerError(None, None, problem, self.peek_event().start_mark)
            node = super().compose_node(parent, index)
            self.levels -= 1
            return node

    return Loader


def _checked(construct: _Construct, expected: str) -> _Construct:
    """Return a constructor of a scalar that raises a YAML error for text of another kind."""
    import yaml

    def constructor(loader: "yaml.SafeLoader", node: "yaml.Node") -> JsonValue:
        try:
            value = construct(loader, node)
            valid = isinstance(value, bool) or (
                math.isfinite(value) and not (isinstance(value, int) and abs(value) > MAX_INTEGER)
            )
        except (ValueError, KeyError, IndexError, OverflowError):
            valid = False
        if not valid:
            problem = f"expected {expected}, got {str(node.value)[:40]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return value

    return constructor
