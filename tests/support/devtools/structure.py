"""Prints figures of the project's structure, here or at a revision of git.

    python -m devtools.structure [REVISION ...]

A unit is a package or module directly below `harness/`, or one of the other three packages. Floors count the
longest chain of units that import one another; units in a circle share a floor.
"""

import ast
import io
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

PACKAGES = ("harness", "baselines", "optimized", "reports")
DEVELOPMENT = "tests/support"


def files_at(revision: str) -> dict[str, str]:
    """Return the Python files of a revision by path."""
    command = ["git", "archive", "--format=tar", revision, "--", *PACKAGES, DEVELOPMENT]
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = [member for member in tar.getmembers() if member.name.endswith(".py")]
        return {member.name: tar.extractfile(member).read().decode() for member in members}  # type: ignore[union-attr]


def module_name(path: str) -> str:
    """Return the dotted name of a module's file."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def unit_of(module: str) -> str:
    """Return the unit that a module belongs to."""
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] == "harness" else 1])


def imports_between_units(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return the units that each unit imports, imports inside functions included."""
    modules = {module_name(path) for path in sources}
    arrows: dict[str, set[str]] = {unit_of(module): set() for module in modules}
    for path, source in sources.items():
        importer = unit_of(module_name(path))
        for name in imported_names(source):
            module = name if name in modules else name.rpartition(".")[0]
            if module in modules and unit_of(module) != importer:
                arrows[importer].add(unit_of(module))
    return arrows


def imported_names(source: str) -> set[str]:
    """Return the dotted names that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def floors(arrows: Mapping[str, set[str]]) -> dict[str, int]:
    """Return each unit's floor, from 1 up: one above the highest that it imports from outside its circle."""
    reachable = {unit: _reachable(unit, arrows) for unit in arrows}
    circle = {
        unit: {other for other in reachable[unit] if unit in reachable[other]} | {unit} for unit in arrows
    }
    floor: dict[str, int] = {}

    def floor_of(unit: str) -> int:
        if unit not in floor:
            below = set().union(*(arrows[member] for member in circle[unit])) - circle[unit]
            floor[unit] = 1 + max(map(floor_of, below), default=0)
        return floor[unit]

    return {unit: floor_of(unit) for unit in arrows}


def _reachable(unit: str, arrows: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(arrows[unit])
    while waiting:
        other = waiting.pop()
        if other not in seen:
            seen.add(other)
            waiting.extend(arrows[other])
    return seen


def children(paths: Iterable[str]) -> Counter[str]:
    """Return how many modules and folders each folder holds, `__init__` apart."""
    below: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        parts = PurePosixPath(path).parts
        for depth in range(1, len(parts)):
            if parts[depth] != "__init__.py":
                below["/".join(parts[:depth])].add(parts[depth])
    return Counter({folder: len(names) for folder, names in below.items()})


def figures(revision: str) -> str:
    """Return the figures of a revision, one a line."""
    files = files_at(revision)
    product = {path: source for path, source in files.items() if not path.startswith(DEVELOPMENT)}
    arrows = imports_between_units(product)
    in_circles = sorted(unit for unit in arrows if unit in _reachable(unit, arrows))
    folders = children(product)
    largest, count = folders.most_common(1)[0]
    lines = sum(source.count("\n") for source in product.values())
    support = sum(source.count("\n") for source in files.values()) - lines
    return "\n".join(
        [
            f"{revision}:",
            f"  folders {len(folders)}, the largest has {count} children ({largest})",
            f"  units {len(arrows)} on {max(floors(arrows).values())} floors, {_total(arrows)} arrows",
            f"  units in circles {len(in_circles)}",
            f"  modules {len(product)}, lines of Python {lines}, and {support} in {DEVELOPMENT}",
        ]
    )


def _total(arrows: Mapping[str, set[str]]) -> int:
    return sum(len(imported) for imported in arrows.values())


if __name__ == "__main__":
    for name in sys.argv[1:] or ["HEAD"]:
        print(figures(name))  # noqa: T201 -- a program of its own
