"""What holds for every module; which package may import which is held by import-linter (pyproject.toml)."""

import ast
import re
from pathlib import Path

import baselines
import harness
import optimized
import reports

PACKAGES = (harness, baselines, optimized, reports)
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
MOST_LINES = 400
SENTENCE = re.compile(r"[A-Z`].*[.:?]")


def modules() -> dict[str, Path]:
    folders = [Path(str(package.__file__)).parent for package in PACKAGES]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return {path.relative_to(folders[0].parent).as_posix(): path for path in paths}


MODULES = modules()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_every_module_opens_with_a_sentence_that_says_what_it_is() -> None:
    """One line, from a capital letter or a `name` to a full stop or a colon."""
    openings = {
        name: (ast.get_docstring(parsed(path)) or "").partition("\n")[0] for name, path in MODULES.items()
    }
    assert {name: opening for name, opening in openings.items() if not SENTENCE.fullmatch(opening)} == {}


def test_loading_harness_or_reports_loads_nothing_heavy() -> None:
    """Heavy libraries are imported inside the function that needs them."""
    loaded = {
        name: _imported_on_loading(path) & HEAVY
        for name, path in MODULES.items()
        if name.startswith(("harness/", "reports/"))
    }
    assert {name: heavy for name, heavy in loaded.items() if heavy} == {}


def _imported_on_loading(path: Path) -> set[str]:
    """Return the top-level packages that loading a module imports; `if TYPE_CHECKING` is not run."""
    names: set[str] = set()
    for node in parsed(path).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    """A module that grows beyond has two subjects."""
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
