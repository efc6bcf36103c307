"""The whole in a scratch repository: a model, bench.yaml, and the step of the action that gates it.

It measures for about a minute, so it runs by `tox -e action` alone (TEST_ACTION is set there).
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from repositories import commit, git, new_repository
from safetensors.numpy import load_file, save_file

from baselines.checkpoints.embedded import materialise

pytestmark = pytest.mark.skipif("TEST_ACTION" not in os.environ, reason="TEST_ACTION is not set")

SCRIPT = Path(__file__).parents[2] / ".ci" / "action.sh"
OPTIONS = """
model: model
variants: [onnx-fp32]
threads: 1
quality: sample
gate:
  latency_p50: {max-degradation: 20%}
  accuracy: {max-degradation: 5}
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with the embedded encoder as a checkpoint of its own, on the branch main."""
    root = new_repository(tmp_path_factory.mktemp("served") / "repository")
    materialise("boolq", root / "model")
    (root / "bench.yaml").write_text(OPTIONS)
    commit(root)
    git(root, "update-ref", "refs/remotes/origin/main", "HEAD")
    return root


def gate(root: Path) -> tuple[int, str]:
    """Run the step of a pull request into main; return its exit code and its summary."""
    summary = root.parent / "summary"
    summary.unlink(missing_ok=True)
    runner = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(root.parent),
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_BASE_REF": "main",
        "BENCH_OPTIONS": "--profile quick --rounds 22",
    }
    completed = subprocess.run(
        ["bash", str(SCRIPT), "gate"],
        cwd=root,
        env=os.environ | runner,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(completed.stdout + completed.stderr)
    return completed.returncode, summary.read_text()


def change(root: Path, edit: Callable[[dict[str, np.ndarray], dict[str, object]], None]) -> None:
    """Write the model of the branch main again, changed."""
    git(root, "checkout", "--quiet", "main", "--", "model")
    weights, config = root / "model" / "model.safetensors", root / "model" / "config.json"
    tensors, fields = load_file(weights), json.loads(config.read_text())
    edit(tensors, fields)
    save_file(tensors, weights, metadata={"format": "pt"})
    config.write_text(json.dumps(fields))


def thrice_as_deep(tensors: dict[str, np.ndarray], config: dict[str, object]) -> None:
    """Repeat the layers twice: three times the work, and answers that may differ."""
    depth = int(str(config["num_hidden_layers"]))
    for name in [name for name in tensors if ".layer." in name]:
        head, _, rest = name.partition(".layer.")
        number, _, parameter = rest.partition(".")
        for copy in (1, 2):
            tensors[f"{head}.layer.{int(number) + copy * depth}.{parameter}"] = tensors[name].copy()
    config["num_hidden_layers"] = 3 * depth


def the_opposite(tensors: dict[str, np.ndarray], config: dict[str, object]) -> None:
    """Negate the classifier: every answer is the other one."""
    del config
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] = -tensors[name]


def test_a_model_that_did_not_change_passes(repository: Path) -> None:
    """Noise passes too, which the action allows unless it is told otherwise."""
    git(repository, "checkout", "--quiet", "main", "--", "model")
    code, summary = gate(repository)
    assert code == 0, summary
    assert "quality is unchanged" in summary


def test_a_model_with_three_times_the_layers_is_a_regression(repository: Path) -> None:
    """Its latency is far beyond 20 %."""
    change(repository, thrice_as_deep)
    code, summary = gate(repository)
    assert code == 3, summary
    rows = [line for line in summary.splitlines() if line.startswith("| REGRESSION |")]
    assert any("latency p50 is" in row and "latency\\_p50: at most 20% worse" in row for row in rows)


def test_wrong_answers_are_a_regression(repository: Path) -> None:
    """At the same speed."""
    change(repository, the_opposite)
    code, summary = gate(repository)
    assert code == 3, summary
    (row,) = [line for line in summary.splitlines() if line.startswith("| REGRESSION |")]
    assert "quality is" in row
    assert "accuracy: at most 5 points worse" in row
