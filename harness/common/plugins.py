"""Plug-ins: tasks, variants, meters and report formats of other distributions, found by entry points.

    metadata of what is installed --plugins--> names --load--> the object, once it is needed

Only names are read until a plug-in is needed, so a broken one does no harm until somebody names it; the error
then gives its name, its distribution and the cause. Built-in names always win: a plug-in that takes one, and
a name that two distributions bring, are listed with the reason and never used.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeAlias

from harness.common.errors import UsageError

Kind = Literal["task", "variant", "meter", "report"]

GROUPS: dict[Kind, str] = {
    "task": "fastformers_bench.tasks",
    "variant": "fastformers_bench.variants",
    "meter": "fastformers_bench.meters",
    "report": "fastformers_bench.reports",
}
"""The groups of entry points; an entry point's name is the name on the command line."""

PARTS: dict[Kind, tuple[str, ...]] = {
    "task": ("name", "folder", "summary", "head", "labels", "splits", "scoring", "read", "parse", "decide"),
    "variant": ("name", "summary", "unavailable", "prepare", "load"),
    "meter": ("name", "kind", "summary", "make", "open"),
    "report": ("__call__",),
}
"""The attributes that an object of each kind must have.

They are those of `harness.workload.tasks.base.Task`, `harness.systems.interface.Variant` and
`harness.measurement.energy.selection.MeterEntry`; a report is a function of `reports.Book` and
`reports.Style` that returns a text.
"""

PluginObject: TypeAlias = Any
"""A task, variant, meter entry or report function, by the plug-in's kind; upper layers define those types."""

FindEntryPoints = Callable[[str], Iterable[EntryPoint]]
"""Returns the entry points of a group."""


def _installed_entry_points(group: str) -> Iterable[EntryPoint]:
    return entry_points(group=group)


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
        try:
            loaded = self.point.load()
            loaded = loaded() if isinstance(loaded, type) else loaded
        except (Exception, SystemExit) as error:  # a plug-in may raise anything
            raise self._error(f"{type(error).__name__}: {error}") from error
        if missing := [name for name in PARTS[self.kind] if not hasattr(loaded, name)]:
            raise self._error(f"{self.point.value} is not a {self.kind}: it lacks {', '.join(missing)}")
        if self.kind != "report" and loaded.name != self.name:
            raise self._error(f"its entry point is named {self.name!r}, and its object {loaded.name!r}")
        return loaded

    def problem(self) -> str | None:
        """Load the plug-in and return why that failed, or None."""
        try:
            self.load()
        except UsageError as error:
            return error.message
        return None

    def _error(self, reason: str) -> UsageError:
        return UsageError(
            f"the plug-in {self.name} ({self.kind}, from {self.distribution}) cannot be used: {reason}.",
            remedy=f"Update or remove it: pip uninstall {self.distribution.split()[0]}",
        )


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
