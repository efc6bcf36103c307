"""A package built of the very lines of docs/howto/plugins.md, installed, listed and measured."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from worlds import boolq_folder

DOCS = Path(__file__).parents[2] / "docs" / "howto" / "plugins.md"

MORE = """
[project.entry-points."fastformers_bench.tasks"]
spam = "hasty:TASK"
[project.entry-points."fastformers_bench.meters"]
lamp = "hasty:METER"
[project.entry-points."fastformers_bench.reports"]
plain-times = "hasty:report"
"""

BROKEN = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "broken-plugin"
version = "0.1"
[project.entry-points."fastformers_bench.variants"]
lost = "no_such_module:VARIANT"
null = "hasty:VARIANT"
misnamed = "hasty:VARIANT"
[tool.setuptools]
py-modules = []
"""


def installed(folder: Path, target: Path, files: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    words = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    quiet = ["--disable-pip-version-check", "--no-warn-conflicts", "--target", str(target), str(folder)]
    subprocess.run([sys.executable, *words, *quiet], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install both packages: that of the tutorial, and one that is broken in three ways."""
    root = tmp_path_factory.mktemp("plugins")
    text = DOCS.read_text(encoding="utf-8")
    module = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    (project,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    installed(root / "hasty", root / "site", {"hasty.py": module, "pyproject.toml": project + MORE})
    installed(root / "broken", root / "site", {"pyproject.toml": BROKEN})
    return root / "site"


def bench(target: Path, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BENCH_")},
        "PYTHONPATH": str(target),
        "BENCH_STORE": str(root / "results"),
        "BENCH_CACHE": str(root / "cache"),
    }
    return subprocess.run(
        [sys.executable, "-P", "-c", "from harness.cli import main; main()", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env=environment,
    )


def test_what_the_tutorial_makes_is_listed_measured_and_reported(target: Path, tmp_path: Path) -> None:
    """Its variant over official data, its meter, and its format of the report."""
    listed = json.loads(bench(target, tmp_path, "list", "--json").stdout)
    assert "hasty" in {row["name"] for row in listed["variants"]}
    brought = {row["name"]: row["unavailable"] for row in listed["plug-ins"]}
    assert [brought[name] for name in ("hasty", "lamp", "plain-times", "spam")] == [None] * 4

    words = (
        "--variants",
        "hasty",
        "--meter",
        "lamp",
        "--data",
        str(boolq_folder(tmp_path)),
        "--json",
        "--quiet",
    )
    run = bench(target, tmp_path, "run", "--profile", "quick", "--limit", "30", "--window", "20ms", *words)
    assert run.returncode == 0, run.stderr
    (row,) = json.loads(run.stdout)["rows"]
    assert (row["variant"], row["status"], row["joules_per_request"]["grade"]) == (
        "hasty",
        "complete",
        "modelled",
    )
    assert bench(target, tmp_path, "report", "--format", "plain-times").stdout.startswith("hasty: Estimate(")


def test_what_is_broken_names_itself_its_package_and_the_error(target: Path, tmp_path: Path) -> None:
    """It costs only whoever names it, and no built-in name is ever taken."""
    listed = json.loads(bench(target, tmp_path, "list", "--json").stdout)
    why = {row["name"]: row["unavailable"] or "" for row in listed["plug-ins"]}
    assert (
        "broken-plugin 0.1) cannot be used: ModuleNotFoundError: No module named 'no_such_module'"
        in why["lost"]
    )
    assert "its name is built in" in why["null"]
    assert "its entry point is named 'misnamed', and its object 'hasty'" in why["misnamed"]
    (null,) = [row for row in listed["variants"] if row["name"] == "null"]
    assert "measures the harness itself" in null["summary"]

    run = bench(target, tmp_path, "run", "--variants", "lost", "--quiet")
    assert run.returncode == 2
    assert (
        "lost cannot run here: the plug-in lost (variant, from broken-plugin 0.1) cannot be used"
        in run.stderr
    )
