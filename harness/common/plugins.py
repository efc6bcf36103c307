"""What other distributions bring: tasks, variants, meters and report formats, by entry points.

    metadata of what is installed --plugins--> names --load--> the thing itself, when it is asked for

Only names are read until one is asked for, so a broken plug-in costs nothing until somebody names it; then
its name, its distribution and its error are told. Built-in names always win: a plug-in that takes one, or a
name that two distributions bring, is listed with the reason and never used.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

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
"""What each kind of thing has, as `harness.workload.tasks.base.Task`, `harness.systems.interface.Variant` and
`harness.measurement.energy.selection.Row` say; a report is a function of `reports.Book` and `reports.Style`
that returns a text."""

Find = Callable[[str], Iterable[EntryPoint]]
"""Returns the entry points of a group."""


def _installed(group: str) -> Iterable[EntryPoint]:
    return entry_points(group=group)


@dataclass(frozen=True, slots=True)
class Plugin:
    """A thing that another distribution brings; `refused` says why it is never used, if it is not."""

    kind: Kind
    name: str
    distribution: str
    point: EntryPoint
    refused: str = ""

    def load(self) -> Any:  # noqa: ANN401 -- whatever its kind is
        """Return the thing; UsageError that names the plug-in, its distribution and what is wrong."""
        if self.refused:
            raise self._broken(self.refused)
        try:
            found = self.point.load()
            found = found() if isinstance(found, type) else found
        except (Exception, SystemExit) as problem:  # it is somebody else's code
            raise self._broken(f"{type(problem).__name__}: {problem}") from problem
        if missing := [part for part in PARTS[self.kind] if not hasattr(found, part)]:
            raise self._broken(f"{self.point.value} is no {self.kind}: it has no {', '.join(missing)}")
        if self.kind != "report" and found.name != self.name:
            raise self._broken(f"its entry point is {self.name!r}, and it calls itself {found.name!r}")
        return found

    def problem(self) -> str | None:
        """Load it and say what is wrong with it, or None."""
        try:
            self.load()
        except UsageError as problem:
            return problem.message
        return None

    def _broken(self, why: str) -> UsageError:
        return UsageError(
            f"the plug-in {self.name} ({self.kind}, from {self.distribution}) cannot be used: {why}.",
            remedy=f"Update or remove it: pip uninstall {self.distribution.split()[0]}",
        )


def plugins(kind: Kind, taken: Collection[str] = (), find: Find = _installed) -> dict[str, Plugin]:
    """Return what is installed of a kind, by name; `taken` are the built-in names. Nothing is loaded."""
    found: dict[str, list[EntryPoint]] = {}
    for point in find(GROUPS[kind]):
        found.setdefault(point.name, []).append(point)
    return {
        name: Plugin(kind, name, _distribution(points[0]), points[0], _refused(name, points, taken))
        for name, points in sorted(found.items())
    }


def usable(kind: Kind, taken: Collection[str] = (), find: Find = _installed) -> dict[str, Plugin]:
    """Return the same but for what takes a built-in name: there, the built-in one is meant."""
    return {name: each for name, each in plugins(kind, taken, find).items() if name not in taken}


def _refused(name: str, points: list[EntryPoint], taken: Collection[str]) -> str:
    if name in taken:
        return "its name is built in, and no plug-in replaces what is"
    sources = list(dict.fromkeys(map(_distribution, points)))
    if len({point.value for point in points}) > 1 or len(sources) > 1:
        return f"its name is brought more than once: by {' and '.join(sources)}"
    return ""


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"
