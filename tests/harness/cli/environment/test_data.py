import json
import shutil
from pathlib import Path

import pytest
from mirror import FILES, allow_loopback, body, serving, status, task_of, zipped
from worlds import World, boolq_folder

from harness.cli.app import call
from harness.workload.data.official import OFFICIAL

GOOD = zipped(FILES)


def bench(root: Path, *words: str) -> int:
    return call(["data", *words], World(root).context())


def test_a_folder_is_described_by_rows_labels_and_lengths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row i has 12 + i words, so 100 of them have 61.5 on average; 66 are true."""
    data = boolq_folder(tmp_path)
    assert bench(tmp_path, "describe", "--data", str(data)) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "boolq/val: 100 examples, 100 of the official 3,270 rows: not comparable with the full split\n"
        "  labels: false 34.0%, true 66.0%; 62 words each; sha256 "
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
    assert "the folder holds CB already" in capsys.readouterr().err
    assert bench(tmp_path, "describe", "--data", str(tmp_path / "d")) == 0
    out = capsys.readouterr().out
    assert "cb/train: 5 examples" in out
    assert "labels: hidden" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["describe", "--data", "nowhere"], "there is no such folder"),
        (["describe", "--data", "."], "the folder holds no split of these tasks"),
        (["describe", "--data", ".", "--task", "bolq"], "Did you mean boolq"),
        (["generate"], "--output"),
        (["list", "--data", "nowhere"], "there is no such folder"),
        (["download"], "--output"),
        (["download", "--output", "d", "--task", "multrc"], "Did you mean multirc"),
        (["download", "--output", "d", "--task", ","], "expected a task in --task, got none"),
        (["download", "--output", "d", "--url", "mirror"], "not an http or https address"),
        (["folds", "--data", ".", "--task", "copa", "--output", "d"], "there is no such file"),
        (["folds", "--data", ".", "--task", "ax-b", "--output", "d"], "ax-b has no train split"),
        (["folds", "--data", ".", "--task", "copa", "--output", "d", "--folds", "1"], "--folds"),
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


def test_the_official_tasks_are_listed_with_their_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sizes as SuperGLUE counts them, metric, archive and licence; nothing is said of a folder unasked."""
    assert bench(tmp_path, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["task", "train", "val", "test", "of", "metrics", "archive", "licence"]
    assert lines[4] == (
        "multirc   27,243   4,848   9,693  answers  F1a, EM                   1.12 MB  none stated"
    )
    assert lines[9].split()[:7] == ["ax-b", "-", "-", "1,104", "rows", "MCC", "0.03"]
    assert "terms hold" in lines[-1]


def test_the_list_says_what_a_folder_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words for people, by split for machines."""
    data = boolq_folder(tmp_path)
    assert bench(tmp_path, "list", "--data", str(data)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "train missing, val other, test missing" in lines[1]
    assert lines[2].split()[-3:] == ["missing", "none", "stated"]
    assert bench(tmp_path, "list", "--data", str(data), "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["here"] == {"train": "missing", "val": "other", "test": "missing"}
    assert rows[0]["sizes"] == {"train": 9427, "val": 3270, "test": 3245}
    assert (rows[9]["name"], rows[9]["metrics"]) == ("ax-g", ["accuracy", "gender parity"])


def test_a_download_says_what_it_did_and_a_second_one_that_it_kept_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror is named by an option or by the environment; progress goes to stderr, or nowhere."""
    allow_loopback(monkeypatch)
    monkeypatch.setitem(OFFICIAL, "cb", task_of(GOOD))
    words = ["download", "--task", "cb,cb", "--output", str(tmp_path / "d")]
    with serving(body(GOOD)) as server:
        assert bench(tmp_path, *words, "--url", server.url) == 0
        told = capsys.readouterr()
        assert told.out == f"cb: downloaded and checked ({tmp_path / 'd' / 'CB'})\n"
        assert told.err == "CB.zip in kB ...\n"
        monkeypatch.setenv("BENCH_DATA_URL", server.url)
        assert bench(tmp_path, *words) == 0
        assert "cb: kept: the official files were there" in capsys.readouterr().out
        shutil.rmtree(tmp_path / "d")
        assert bench(tmp_path, *words, "--json", "--quiet") == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == [
        {"task": "cb", "folder": str(tmp_path / "d" / "CB"), "state": "downloaded"}
    ]
    assert told.err == ""


def test_a_download_that_fails_is_one_message_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happened, where, and what to do; nothing is left."""
    allow_loopback(monkeypatch)
    with serving(status(404)) as server:
        words = ["download", "-q", "--task", "ax-g", "--output", str(tmp_path / "d"), "--url", server.url]
        assert bench(tmp_path, *words) == 2
        assert capsys.readouterr().err.splitlines()[0] == (
            f"bench: {server.url}/AX-g.zip: the download failed: the server answered 404 Not Found."
        )
    assert list((tmp_path / "d").iterdir()) == []


def test_an_interrupted_download_ends_with_exit_code_130(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, as anywhere else; nothing is left."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.workload.data.download.download.transfer", interrupted)
    assert bench(tmp_path, "download", "--task", "cb", "--output", str(tmp_path / "d")) == 130
    assert list((tmp_path / "d").iterdir()) == []


def test_folds_of_a_training_split_are_cut_and_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """100 rows with 100 passages in 3 folds: 34, 33 and 33."""
    data = boolq_folder(tmp_path)
    (data / "BoolQ" / "val.jsonl").rename(data / "BoolQ" / "train.jsonl")
    out = tmp_path / "folds"
    words = ["folds", "--data", str(data), "--task", "boolq", "--folds", "3", "--output", str(out)]
    assert bench(tmp_path, *words) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{out / 'fold-1'}: boolq, 66 lines to train, 34 to validate",
        f"{out / 'fold-2'}: boolq, 67 lines to train, 33 to validate",
        f"{out / 'fold-3'}: boolq, 67 lines to train, 33 to validate",
    ]
    assert bench(tmp_path, *words, "--json") == 0
    assert json.loads(capsys.readouterr().out)[0] == {
        "task": "boolq",
        "folder": str(out / "fold-1"),
        "train": 66,
        "val": 34,
    }
    assert bench(tmp_path, "describe", "--data", str(out / "fold-1"), "--task", "boolq") == 0
    assert "boolq/val: 34 examples" in capsys.readouterr().out
    assert bench(tmp_path, *words, "--seed", "1") == 2
    assert "from another cut" in capsys.readouterr().err
