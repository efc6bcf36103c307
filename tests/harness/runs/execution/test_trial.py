"""What candidates are tried on: training examples, never what is reported."""

from pathlib import Path

from harness.runs.worker.messages import TrainingData
from harness.runs.worker.session import _reported_texts, _training_split
from harness.workload import synthetic
from harness.workload.tasks import get_task
from harness.workload.tasks.example import text_hashes


def test_a_diagnostic_is_tried_on_the_training_examples_of_its_model(tmp_path: Path) -> None:
    """AX-b has one file, the reported one: without RTE's training file beside it there is nothing to try."""
    synthetic.write(tmp_path, ("ax-b",))
    trial = TrainingData("embedded", str(tmp_path), limit=3)
    assert _training_split(get_task("ax-b"), trial) is None
    synthetic.write(tmp_path, ("rte",), train_rows=8)
    found, same = _training_split(get_task("ax-b"), trial), _training_split(get_task("rte"), trial)
    assert found is not None
    assert same is not None
    assert [example.id for example in found.examples[:3]] == ["0", "1", "2"]
    assert found.examples == same.examples


def test_of_the_reported_split_preparation_gets_hashes_of_texts_alone(tmp_path: Path) -> None:
    """Two for each pair of RTE, which tell whether other texts are among them; without a split none."""
    synthetic.write(tmp_path, ("rte",), train_rows=8)
    rte = get_task("rte")
    reported = _reported_texts(rte, TrainingData("embedded", str(tmp_path), limit=3, split="val"))
    examples = rte.read(tmp_path / "RTE" / "val.jsonl", labelled=True)
    assert all(text_hashes(example) <= reported for example in examples)
    assert all(len(text) == 64 for text in reported)
    assert _reported_texts(rte, TrainingData("embedded", str(tmp_path), limit=3)) == frozenset()
