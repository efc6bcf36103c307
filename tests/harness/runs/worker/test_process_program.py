import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.common.errors import MeasurementError
from harness.runs.worker.process_command import program_of
from harness.runs.worker.process_program import ABOUT, ProgramSpec, answer
from harness.systems.interface import Artifact, Placement, Settings
from harness.testing.clock import FakeClock
from harness.testing.system import FakeVariant, fake_catalog
from harness.workload import synthetic
from harness.workload.tasks import get_task
from harness.workload.tasks.base import split_path
from harness.workload.tasks.prediction_files import read_predictions


def spec(task: str, variant: str, folder: Path) -> ProgramSpec:
    return ProgramSpec(
        task=task,
        split="val",
        variant=variant,
        artifact=Artifact(folder, "k", {}),
        settings=Settings(command="./other {data}"),
        placement=Placement("cpu", (0,), 1),
    )


def folders(root: Path, task: str, rows: int = 5) -> tuple[Path, Path]:
    """Write a data folder, and make one for the answers."""
    path = root / "data" / split_path(get_task(task), "val")
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in synthetic.rows(task, "val", rows)))
    (root / "output").mkdir()
    return root / "data", root / "output"


@pytest.mark.parametrize("labels_only", [False, True])
@pytest.mark.parametrize("task", ["boolq", "record", "multirc"])
def test_a_variant_of_ours_writes_the_prediction_file(tmp_path: Path, task: str, labels_only: bool) -> None:
    """From logits or from answers; beside it, what it is and how many tokens it saw."""
    data, output = folders(tmp_path, task)
    clock = FakeClock(step_ns=10)
    catalog = fake_catalog(clock, FakeVariant("mine", clock, 1, labels_only=labels_only))
    answer(spec(task, "mine", tmp_path), data, output, lambda: catalog)
    asked = get_task(task)
    examples = asked.read(data / split_path(asked, "val"), labelled=False)
    answers = read_predictions(asked, output / f"{asked.folder}.jsonl", examples)
    assert all(asked.valid(said, example) for said, example in zip(answers, examples, strict=True))
    about = json.loads((output / ABOUT).read_text())
    assert about["effective"] == {"engine": "fake", "threads": 1}
    words = [len(f"{text.first} {text.second or ''}".split()) for one in examples for text in one.inputs]
    assert (about["tokens"], about["cut"]) == (sum(words), [])


def test_logits_that_are_not_finite_give_no_prediction_file(tmp_path: Path) -> None:
    """The program fails, and so does its cell."""
    data, output = folders(tmp_path, "boolq")
    clock = FakeClock(step_ns=10)
    catalog = fake_catalog(clock, FakeVariant("mine", clock, 1, finite_calls=0))
    with pytest.raises(MeasurementError, match="not finite numbers"):
        answer(spec("boolq", "mine", tmp_path), data, output, lambda: catalog)
    assert list(output.iterdir()) == []


def test_as_a_process_it_needs_nothing_of_the_folder_it_stands_in(tmp_path: Path) -> None:
    """A `harness.py` there does not shadow ours, and the user's own command stays out of its words."""
    data, output = folders(tmp_path, "boolq")
    (tmp_path / "harness.py").write_text("raise SystemExit('shadowed')")
    program = program_of(spec("boolq", "null", tmp_path))
    assert program.ours
    words = program.arguments(data, output)
    assert not any("./other" in word for word in words)
    subprocess.run(words, cwd=tmp_path, check=True)
    assert len((output / "BoolQ.jsonl").read_text().splitlines()) == 5
    assert json.loads((output / ABOUT).read_text())["effective"]["reads_input"] is False


def test_what_comes_with_the_package_only_loads_what_it_needs() -> None:
    """Importing the program imports no engine: it would be part of every variant's cost."""
    code = (
        "import sys, harness.runs.worker.process_program; "
        "print(sorted(m.partition('.')[0] for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("torch", "transformers", "onnxruntime", "scipy", "pydantic", "typer", "psutil"):
        assert f"'{heavy}'" not in done.stdout
