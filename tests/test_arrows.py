"""Which way the arrows point (docs/design.md), held over every import in the source."""

import ast
from pathlib import Path

import pytest

import baselines
import harness
import optimized
import reports

ROOT = Path(harness.__file__).parents[1]
OURS = ("harness", "baselines", "optimized", "reports")
HEAVY = {
    "torch",
    "transformers",
    "onnxruntime",
    "onnx",
    "pandas",
    "matplotlib",
    "codecarbon",
    "sklearn",
    "scipy",
}
SEAM = ("harness.system", "harness.tasks", "harness.errors")


def modules() -> dict[str, Path]:
    found = {}
    for package in (harness, baselines, optimized, reports):
        folder = Path(str(package.__file__)).parent
        for path in folder.rglob("*.py"):
            parts = (folder.name, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    """Return what a module imports; at top level only, what loading it loads."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _at_top(tree) if top_level else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _at_top(tree: ast.Module) -> list[ast.stmt]:
    """Statements that run on import; what stands under `if TYPE_CHECKING` does not."""
    return [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def ours(names: set[str]) -> set[str]:
    """Our modules among the names; `harness.system.System` is the module `harness.system`."""
    known = modules()
    found = set()
    for name in names:
        if name in known and name.partition(".")[0] in OURS:
            found.add(name)
        elif name.rpartition(".")[0] in known:
            found.add(name.rpartition(".")[0])
    return found - set(OURS)


MODULES = sorted(modules().items())


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_every_import_follows_the_arrows(name: str, path: Path) -> None:
    """`optimized` -> `baselines` -> the seam; reports -> what is pure; cli, api, catalog reach further."""
    allowed = {
        "optimized": ("optimized", "baselines", *SEAM),
        "baselines": ("baselines", *SEAM),
        "reports": (
            *("reports", "harness.record", "harness.estimate", "harness.compare", "harness.doubts"),
            *("harness.change", "harness.verdicts", "harness.contrast", "harness.gate", "harness.rules"),
            *("harness.history", "harness.plugins", "harness.pairing", "harness.visits"),
            *(
                "harness.tasks",
                "harness.errors",
                "harness.measurement.energy.meter",
                "harness.idle",
                "harness.protocol",
            ),
            *("harness.limit",),
        ),
        "harness": ("harness",),
    }[name.partition(".")[0]]
    if name == "harness.catalog":
        allowed = (*allowed, "baselines", "optimized")
    if within(name, ("harness.cli", "harness.api")):
        allowed = (*allowed, "reports")
    strangers = {found for found in ours(imports(path)) if not within(found, allowed)}
    assert strangers == set()


def test_the_loop_knows_neither_tasks_nor_records_nor_files() -> None:
    """It is the smallest and most careful file."""
    assert ours(imports(modules()["harness.loop"])) <= {"harness.system", "harness.measurement.energy.meter"}


@pytest.mark.parametrize(("name", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_loading_harness_or_reports_loads_nothing_heavy(name: str, path: Path) -> None:
    """Heavy libraries are imported inside the function that needs them."""
    if within(name, ("harness", "reports")):
        heavy = {found for found in imports(path, top_level=True) if found.partition(".")[0] in HEAVY}
        assert heavy == set()
