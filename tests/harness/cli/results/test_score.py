import json
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.workload import synthetic


def bench(world: World, *words: str) -> int:
    return call(words, world.context())


def predictions(path: Path, labels: list[str]) -> Path:
    rows = [{"idx": idx, "label": label} for idx, label in enumerate(labels)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_valid_file_is_scored_where_labels_are_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the folder's 100 rows every third is false, which is 34: all true is right in 66.

    Wilson's interval with z = 1.96, z^2 = 3.8415: centre (0.66 + 0.019207) / 1.038415 = 0.65408, half width
    1.96 sqrt(0.66 x 0.34 / 100 + 3.8415 / 40000) / 1.038415 = 0.09130, so 0.5628 to 0.7454.
    """
    file = predictions(tmp_path / "BoolQ.jsonl", ["true"] * 100)
    words = [str(file), "--data", str(boolq_folder(tmp_path)), "--split", "val"]
    assert bench(World(tmp_path), "score", *words) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "valid: 100 answers to boolq/val (local data)"
    assert out[-2] == "accuracy: 66.00 [56.28, 74.54] (share of right answers, Wilson interval)"
    assert out[-1] == "score: 66.00"


def test_hidden_labels_leave_the_file_valid_without_a_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The embedded test split is the default, as for `bench predict`; the score says why it is not there."""
    size = synthetic.sizes("boolq")["test"]
    file = predictions(tmp_path / "BoolQ.jsonl", ["false"] * size)
    assert bench(World(tmp_path), "score", str(file), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["answers"], facts["tier"], facts["score"]) == (size, "embedded", None)
    assert facts["unavailable"] == "the test split hides its labels"


def test_the_score_of_two_metrics_is_their_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Right throughout: accuracy and parity of the diagnostic are 1, each with an interval below it."""
    world = World(tmp_path)
    gold = [str(row["label"]) for row in synthetic.rows("ax-g", "test")]
    file = predictions(tmp_path / "AX-g.jsonl", gold)
    assert bench(world, "score", str(file), "--task", "ax-g", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["score"] == 1
    assert set(facts["metrics"]) == {"accuracy", "gender_parity"}
    assert all(metric["low"] < 1 for metric in facts["metrics"].values())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"idx": 0, "label": true}\n', ":1: the label must be one of false, true, got true"),
        ('{"idx": 0, "label": "true"}\n', "99 of 100 examples have no answer, first idx 1"),
        ('{"idx": "0", "label": "true"}\n', ':1: no example has idx "0"; did you mean 0'),
        ("nonsense\n", ":1: not JSON"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, words: str
) -> None:
    """Exit code 2, a remedy, and nothing on stdout."""
    file = tmp_path / "p.jsonl"
    file.write_text(content)
    data = str(boolq_folder(tmp_path))
    assert bench(World(tmp_path), "score", str(file), "--data", data, "--split", "val") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert "docs/howto/programs.md" in err


def test_what_predict_writes_can_be_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The two commands are each other's test, on a grouped task."""
    world = World(tmp_path)
    assert bench(world, "predict", "--task", "multirc", "-o", str(tmp_path / "out"), "-q") == 0
    assert bench(world, "score", str(tmp_path / "out" / "MultiRC.jsonl"), "--task", "multirc") == 0
    assert "valid: " in capsys.readouterr().out
