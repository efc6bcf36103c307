import json
from pathlib import Path

import pytest
from worlds import World, boolq_folder

from harness.cli.app import call


def bench(root: Path, *words: str) -> int:
    return call(["data", *words], World(root).toolbox())


def test_a_folder_is_described_by_rows_labels_and_lengths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row i has 12 + i words, so 100 of them have 61.5 on average; 66 are true."""
    data = boolq_folder(tmp_path)
    assert bench(tmp_path, "describe", "--data", str(data)) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "boolq/val: 100 rows, 100 of the official 3,270 rows: not comparable with the full split\n"
        "  labels: false 34.0%, true 66.0%; 62 words a row; sha256 "
    )
    assert bench(tmp_path, "describe", "--data", str(data), "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["rows"], row["words"], row["official"]) == (100, 61.5, False)


def test_verify_tells_official_files_from_others_and_from_broken_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 5 for a file that is another, 2 for one that cannot be read."""
    data = boolq_folder(tmp_path)
    assert bench(tmp_path, "verify", "--data", str(data)) == 5
    file = data / "BoolQ" / "val.jsonl"
    file.write_text(file.read_text()[:-3])
    capsys.readouterr()
    assert bench(tmp_path, "verify", "--data", str(data)) == 2
    assert "boolq/val: cannot be read:" in capsys.readouterr().out


def test_the_embedded_sample_is_generated_once_into_a_new_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is there is never overwritten, and what is written can be described."""
    words = ["generate", "--output", str(tmp_path / "d"), "--task", "cb", "--train-rows", "5"]
    assert bench(tmp_path, *words) == 0
    assert bench(tmp_path, *words) == 2
    assert "CB is there already" in capsys.readouterr().err
    assert bench(tmp_path, "describe", "--data", str(tmp_path / "d")) == 0
    out = capsys.readouterr().out
    assert "cb/train: 5 rows" in out
    assert "labels: hidden" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["describe", "--data", "nowhere"], "there is no such folder"),
        (["describe", "--data", "."], "no split of these tasks is in this folder"),
        (["describe", "--data", ".", "--task", "bolq"], "Did you mean boolq"),
        (["generate"], "--output"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    """As everywhere."""
    monkeypatch.chdir(tmp_path)
    assert bench(tmp_path, *words) == 2
    assert message in capsys.readouterr().err
