"""`bench data lengths`: from a split to a histogram of its tokens."""

import hashlib
import json
from pathlib import Path

import pytest
import tiny
from worlds import World

from harness.cli.app import call
from harness.workload.data.lengths import Histogram


def bench(root: Path, *words: str) -> int:
    return call(["data", "lengths", *words], World(root).context())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write questions of 2 words on passages of 2, 2, 20: 7, 7 and 25 tokens with [CLS] and two [SEP]."""
    folder = tmp_path / "data" / "BoolQ"
    folder.mkdir(parents=True)
    rows = [
        {"question": "is it", "passage": "lake " * words, "idx": idx, "label": True}
        for idx, words in enumerate((2, 2, 20))
    ]
    (folder / "val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "data"


def test_the_tokens_of_a_split_are_counted_into_a_file(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is longer than the maximum counts as that long; the file says whose tokens and of what file."""
    model = tiny.tiny_checkpoint(tmp_path / "model")
    output = tmp_path / "out" / "lengths.json"
    words = ["--data", str(data), "--model", str(model), "--max-length", "16", "--output", str(output)]
    assert bench(tmp_path, *words) == 0
    told = capsys.readouterr().out
    # (7 + 7 + 16) / 3 = 10
    assert told == f"3 examples of 7 to 16 tokens, mean 10.0, p50 7, p95 16, 1 cut: {output}\n"
    found = Histogram.model_validate_json(output.read_text())
    assert (found.task, found.split, found.examples, found.cut) == ("boolq", "val", 3, 1)
    assert found.counts == {7: 2, 16: 1}
    assert found.data_sha256 == hashlib.sha256((data / "BoolQ" / "val.jsonl").read_bytes()).hexdigest()
    tokenizer = hashlib.sha256((model / "tokenizer.json").read_bytes()).hexdigest()
    assert found.tokenizer.model_dump() == {"name": "model", "vocabulary": "", "sha256": tokenizer}
    assert bench(tmp_path, *words, "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(output.read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-length", "65"], "--max-length 64"),
        (["--task", "bolq"], "Did you mean boolq"),
        (["--split", "dev"], "no split 'dev'"),
        (["--split", "train"], "train.jsonl"),
        (["--model", "./nowhere"], "there is no such folder"),
    ],
)
def test_what_cannot_be_counted_is_one_message_and_exit_code_2(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    """And nothing is written."""
    model = tiny.tiny_checkpoint(tmp_path / "model")
    output = tmp_path / "lengths.json"
    given = ["--data", str(data), "--model", str(model), "--max-length", "16", "--output", str(output)]
    assert bench(tmp_path, *given, *words) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()
