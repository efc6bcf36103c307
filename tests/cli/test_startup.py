import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "transformers",
    "onnxruntime",
    "onnx",
    "pandas",
    "matplotlib",
    "pooch",
    "requests",
    "codecarbon",
    "sklearn",
    "scipy",
}


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
def test_what_answers_at_once_loads_nothing_heavy(words: list[str], tmp_path: object) -> None:
    """Neither torch nor transformers, onnxruntime, pandas or matplotlib is loaded."""
    program = (
        "import sys, json\n"
        "from harness.cli.app import call\n"
        "from harness.cli.toolbox import Toolbox\n"
        f"code = call({words!r}, Toolbox())\n"
        "print(json.dumps([code, sorted({name.split('.')[0] for name in sys.modules})]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"BENCH_CACHE": str(tmp_path), "PATH": "/usr/bin", "HOME": str(tmp_path)},
    )
    code, loaded = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    assert done.stdout
    assert HEAVY & set(loaded) == set()
