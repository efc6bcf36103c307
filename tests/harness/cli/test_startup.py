import json
import subprocess
import sys
from pathlib import Path

import pytest
from records import a_record

HEAVY = {
    "torch",
    "transformers",
    "onnxruntime",
    "onnx",
    "pandas",
    "matplotlib",
    "httpx2",
    "requests",
    "codecarbon",
    "sklearn",
    "scipy",
}


def called(words: list[str], folder: Path) -> tuple[int, str, set[str]]:
    """Run a command in a process of its own: its exit code, what it printed, the modules it loaded."""
    program = (
        "import sys, json\n"
        "from harness.cli.app import call\n"
        "from harness.cli.context import CliContext\n"
        f"code = call({words!r}, CliContext())\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"BENCH_CACHE": str(folder), "PATH": "/usr/bin", "HOME": str(folder)},
    )
    code, loaded = json.loads(done.stderr.splitlines()[-1])
    return code, done.stdout, set(loaded)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["list"],
        ["run", "--help"],
        ["report", "--help"],
        ["export", "--help"],
        ["cache", "list"],
        ["--version"],
    ],
)
def test_what_answers_at_once_loads_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    """Neither torch nor transformers, onnxruntime, pandas or matplotlib is loaded."""
    code, shown, loaded = called(words, tmp_path)
    assert (code, bool(shown)) == (0, True)
    assert HEAVY & {name.partition(".")[0] for name in loaded} == set()


def test_a_comparison_loads_what_it_computes_with_and_no_more(tmp_path: Path) -> None:
    """Of scipy its functions alone; of reports neither pages nor plots nor formats for others."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(a_record(run=name).model_dump_json(), encoding="utf-8")
    code, shown, loaded = called(["compare", *(str(tmp_path / f"{name}.json") for name in "ab")], tmp_path)
    assert (code, "throughput" in shown) == (0, True)
    unwanted = {
        "scipy.stats",
        "jinja2",
        "reports.formats",
        "reports.html",
        "reports.plots",
        "reports.exports",
    }
    assert unwanted & loaded == set()
    assert (HEAVY - {"scipy"}) & {name.partition(".")[0] for name in loaded} == set()
