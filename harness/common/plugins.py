"""Plug-ins: tasks, variants, meters and report formats of other distributions, found by entry points.

    metadata of what is installed --plugins--> names --load--> the object, once it is needed

Only names are read until a plug-in is needed, so a broken one does no harm until somebody names it; the error
then gives its name, its distribution and the cause. Built-in names always win: a plug-in that takes one, and
a name that two distributions bring, are listed with the reason and never used.
"""

import logging
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any, Literal, TypeAlias, TypeVar

from harness.common.errors import QUOTED_CHARACTERS, BenchError, MeasurementError, UsageError

Kind = Literal["task", "variant", "meter", "report"]

GROUPS: dict[Kind, str] = {
    "task": "fastformers_bench.tasks",
    "variant": "fastformers_bench.variants",
    "meter": "fastformers_bench.meters",
    "report": "fastformers_bench.reports",
}
"""The groups of entry points; an entry point's name is the name on the command line."""

PARTS: dict[Kind, Mapping[str, Any]] = {
    "task": {
        "name": str,
        "folder": str,
        "summary": str,
        "head": str,
        "labels": Sequence,
        "splits": Collection,
        "scoring": object,
        "read": Callable,
        "parse": Callable,
        "decide": Callable,
    },
    "variant": {
        "name": str,
        "summary": str,
        "unavailable": Callable,
        "prepare": Callable,
        "load": Callable,
    },
    "meter": {"name": str, "kind": str, "summary": str, "make": Callable, "open": Callable},
    "report": {"__call__": Callable},
}
"""The attributes that an object of each kind must have, and their types.

They are those of `harness.workload.tasks.base.Task`, `harness.systems.interface.Variant` and
`harness.measurement.energy.selection.MeterEntry`; a report is a function of `reports.Book` and
`reports.Style` that returns a text.
"""

PluginObject: TypeAlias = Any
"""A task, variant, meter entry or report function, by the plug-in's kind; upper layers define those types."""

OURS = frozenset(("harness", "baselines", "optimized", "reports"))
"""The packages of this program: errors in them are not those of a plug-in."""

logger = logging.getLogger(__name__)

TYPE_NAMES: dict[Any, str] = {
    str: "text",
    Sequence: "sequence",
    Collection: "collection",
    Callable: "function",
}

_loaded: "dict[str, Plugin]" = {}
"""The plug-ins that were loaded in this process, by the top-level name of their module."""

ResultT = TypeVar("ResultT")

FindEntryPoints = Callable[[str], Iterable[EntryPoint]]
"""Returns the entry points of a group."""


def _installed_entry_points(group: str) -> Iterable[EntryPoint]:
    try:
        return entry_points(group=group)
    except Exception:  # noqa: BLE001 -- the metadata of one distribution cannot be read: any error
        return [point for point in _readable_entry_points() if point.group == group]


def _readable_entry_points() -> Iterator[EntryPoint]:
    """Yield the entry points of every distribution, and warn of one whose metadata cannot be read."""
    for distribution in distributions():
        try:
            yield from distribution.entry_points
        except Exception as error:  # noqa: BLE001 -- as above
            path = getattr(distribution, "_path", "a distribution")
            logger.warning("bench: the entry points of %s cannot be read: %s", path, describe(error))


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point of another distribution; `refused` is the reason why it is never used, or empty."""

    kind: Kind
    name: str
    distribution: str
    point: EntryPoint
    refused: str = ""

    def load(self) -> PluginObject:
        """Import and check the object; UsageError with the plug-in, its distribution and the cause."""
        if self.refused:
            raise self._error(self.refused)
        if not self.point.pattern.match(self.point.value):  # what `module` raises differs between Pythons
            raise self._error(f"its entry point is {self.point.value!r}, expected module:object")
        try:
            _loaded[self.point.module.partition(".")[0]] = self
            with redirect_stdout(sys.stderr):  # what it prints must not mix with a report
                loaded = self.point.load()
                loaded = loaded() if isinstance(loaded, type) else loaded
            problem = self._problem_of(loaded)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._error(describe(error)) from error
        if problem:
            raise self._error(problem)
        return loaded

    def problem(self) -> str | None:
        """Load the plug-in and return why that failed, or None."""
        try:
            self.load()
        except UsageError as error:
            return error.message
        return None

    @property
    def description(self) -> str:
        """Its name, kind and distribution, for messages."""
        return f"the plug-in {self.name} ({self.kind}, from {self.distribution})"

    def call(self, function: Callable[..., ResultT], *arguments: object) -> ResultT:
        """Call a function of the loaded object; MeasurementError with the plug-in if it raises anything."""
        try:
            return function(*arguments)
        except (BenchError, KeyboardInterrupt):
            raise
        except BaseException as error:
            logger.debug("%s:", self.description, exc_info=error)
            raise self.failed(describe(error)) from error

    def check(self, wanted: type[ResultT], what: str, value: object) -> ResultT:
        """Return a value that the loaded object returned; MeasurementError unless it has the wanted type."""
        if isinstance(value, wanted):
            return value
        raise self.failed(f"{what} must be {wanted.__name__}, got {type(value).__name__}")

    def failed(self, reason: str) -> MeasurementError:
        """Return the error for a plug-in that was loaded and then failed."""
        return MeasurementError(f"{self.description} failed: {reason}.", remedy=self._remedy)

    @property
    def _remedy(self) -> str:
        return f"Update or remove it: pip uninstall {self.distribution.split()[0]}"

    def _problem_of(self, loaded: PluginObject) -> str | None:
        """Return what is wrong with the loaded object; reading an attribute may raise anything."""
        parts = PARTS[self.kind]
        if missing := [name for name in parts if not hasattr(loaded, name)]:
            return f"{self.point.value} is not a {self.kind}: it lacks {', '.join(missing)}"
        for name, kind in parts.items():
            if not isinstance(value := getattr(loaded, name), kind):
                return f"its {name} must be a {TYPE_NAMES[kind]}, got {type(value).__name__}"
        if self.kind != "report" and loaded.name != self.name:
            return f"its entry point is named {self.name!r}, and its object {loaded.name!r}"
        return None

    def _error(self, reason: str) -> UsageError:
        return UsageError(
            f"{self.description} cannot be used: {reason}.",
            remedy=self._remedy,
        )


def describe(error: BaseException) -> str:
    """Return the class and the text of an error, on one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 -- a class of somebody else
        text = "its message cannot be read"
    return f"{type(error).__name__}: {text[:QUOTED_CHARACTERS]}".rstrip(" .:")


def plugin_of(error: BaseException) -> Plugin | None:
    """Return the plug-in in whose code an error was raised, or None."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    for frame in reversed(frames):
        name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if name in _loaded and name not in OURS:
            return _loaded[name]
    return None


def plugins(
    kind: Kind, taken: Collection[str] = (), find: FindEntryPoints = _installed_entry_points
) -> dict[str, Plugin]:
    """Return the installed plug-ins of a kind by name, none of them loaded; `taken` are built-in names."""
    points_by_name: dict[str, list[EntryPoint]] = {}
    for point in find(GROUPS[kind]):
        points_by_name.setdefault(point.name, []).append(point)
    return {
        name: Plugin(kind, name, _distribution(points[0]), points[0], _refusal(name, points, taken))
        for name, points in sorted(points_by_name.items())
    }


def usable(
    kind: Kind, taken: Collection[str] = (), find: FindEntryPoints = _installed_entry_points
) -> dict[str, Plugin]:
    """Return the same without those that take a built-in name, which stands for the built-in object."""
    return {name: plugin for name, plugin in plugins(kind, taken, find).items() if name not in taken}


def _refusal(name: str, points: list[EntryPoint], taken: Collection[str]) -> str:
    if name in taken:
        return "its name is built in, and a plug-in cannot replace a built-in"
    sources = list(dict.fromkeys(map(_distribution, points)))
    if len({point.value for point in points}) > 1 or len(sources) > 1:
        return f"its name is used more than once: by {' and '.join(sources)}"
    return ""


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"
