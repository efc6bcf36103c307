"""What holds for every module; which package may import which is held by import-linter (pyproject.toml)."""

import ast
import re
from pathlib import Path

import pytest

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


def modules() -> dict[str, Path]:
    folders = [Path(str(package.__file__)).parent for package in PACKAGES]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return {path.relative_to(folders[0].parent).as_posix(): path for path in paths}


MODULES = modules()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_opens_with_a_sentence_that_says_what_it_is(name: str) -> None:
    """One line, from a capital letter or a `name` to a full stop or a colon."""
    opening = (ast.get_docstring(ast.parse(MODULES[name].read_text(encoding="utf-8"))) or "").partition("\n")
    assert re.fullmatch(r"[A-Z`].*[.:?]", opening[0]), opening[0]


@pytest.mark.parametrize("name", MODULES)
def test_loading_harness_or_reports_loads_nothing_heavy(name: str) -> None:
    """Heavy libraries are imported inside the function that needs them."""
    if name.startswith(("harness/", "reports/")):
        heavy = {imported for imported in _imported_on_loading(MODULES[name]) if imported in HEAVY}
        assert heavy == set()


def _imported_on_loading(path: Path) -> set[str]:
    """Return the top-level packages that loading a module imports; `if TYPE_CHECKING` is not run."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    """A module that grows beyond has two subjects."""
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
