"""Folds of a training split: their rows, the files written, and the note on their origin."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.common.errors import DataError, StoreError, UsageError
from harness.workload.data.folds import assign, cut_folds, origin_note, read_source
from harness.workload.data.official import OFFICIAL

# an invented row of each task in the official layout; {} is the first text
ROWS = {
    "BoolQ": '{"question": "is it", "passage": "{}", "idx": 0, "label": true}',
    "CB": '{"premise": "{}", "hypothesis": "it is", "label": "neutral", "idx": 0}',
    "COPA": '{"premise": "{}", "choice1": "a", "choice2": "b", "question": "cause", "label": 0, "idx": 0}',
    "MultiRC": '{"idx": 0, "passage": {"text": "{}", "questions": []}}',
    "ReCoRD": '{"source": "x", "passage": {"text": "{}", "entities": []}, "qas": [], "idx": 0}',
    "RTE": '{"premise": "{}", "hypothesis": "it is", "label": "entailment", "idx": 0}',
    "WiC": '{"word": "a", "sentence1": "{}", "sentence2": "b", "idx": 0, "label": false}',
    "WSC": '{"text": "{}", "target": {"span1_text": "a"}, "idx": 0, "label": true}',
}


def data_folder(root: Path, *texts: str, folder: str = "COPA") -> Path:
    """Write a training split with one row for each text."""
    (root / "data" / folder).mkdir(parents=True)
    rows = [ROWS[folder].replace("{}", text) for text in texts]
    (root / "data" / folder / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return root / "data"


def lines(folder: Path, name: str) -> list[bytes]:
    return (folder / name).read_bytes().splitlines()


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40).flatmap(
        lambda texts: st.tuples(st.just(texts), st.integers(2, max(2, len(set(texts)))))
    ),
    st.integers(0, 9),
)
def test_every_row_is_in_one_fold_with_all_rows_of_the_same_text(
    case: tuple[list[str], int], seed: int
) -> None:
    """No fold is empty, and the sizes of folds differ by at most the rows of the most frequent text."""
    texts, folds = case
    if folds > len(set(texts)):
        with pytest.raises(UsageError, match="cannot cut"):
            assign(texts, folds, seed)
        return
    assigned = assign(texts, folds, seed)
    assert len(set(zip(texts, assigned, strict=True))) == len(set(texts))
    sizes = Counter(assigned)
    assert set(sizes) == set(range(1, folds + 1))
    assert max(sizes.values()) - min(sizes.values()) <= max(Counter(texts).values())


def test_a_seed_gives_the_same_folds_on_every_machine() -> None:
    """These folds of ten texts are pinned, so that old figures can be reproduced."""
    texts = list("abcdefghij")
    assert assign(texts, 3, 0) == assign(texts, 3, 0)
    assert assign(texts, 3, 0) != assign(texts, 3, 1)
    assert assign(texts, 3, 0) == [1, 2, 3, 2, 3, 1, 1, 2, 3, 1]


@pytest.mark.parametrize("folder", sorted(ROWS))
def test_the_first_text_of_every_task_is_read(tmp_path: Path, folder: str) -> None:
    """Whatever the name of the field; blanks are normalised."""
    data = data_folder(tmp_path, "It  rains.", "It snows.", "It rains. ", folder=folder)
    source = read_source(data / folder / "train.jsonl", folder)
    assert source.texts == ("It rains.", "It snows.", "It rains.")
    assert source.official is False or folder == "ReCoRD"


def test_every_task_with_a_training_split_is_covered_here() -> None:
    """The diagnostics have no training split."""
    assert set(ROWS) == {task.folder for task in OFFICIAL.values() if "train" in task.files}


def test_lines_are_copied_byte_for_byte_in_their_order(tmp_path: Path) -> None:
    """With blanks, escapes and other scripts; a newline is added to the last line."""
    unusual = b'{"idx":7,  "premise": "\\u00e9t\xc3\xa9 \xe2\x80\xa8 \xe9\x9b\xa8", "label" :1}\r'
    data = data_folder(tmp_path, *"abcd")
    path = data / "COPA" / "train.jsonl"
    path.write_bytes(unusual + b"\n\n" + path.read_bytes())
    rows = [line for line in path.read_bytes().split(b"\n") if line]
    assert cut_folds(data, "COPA", tmp_path / "folds", folds=5, seed=0) == [(4, 1)] * 5
    vals = []
    for number in range(1, 6):
        folder = tmp_path / "folds" / f"fold-{number}" / "COPA"
        train, val = ((folder / f"{name}.jsonl").read_bytes().split(b"\n")[:-1] for name in ("train", "val"))
        vals += val
        assert train == [row for row in rows if row not in val]
    assert sorted(vals) == sorted(rows)


def test_a_passage_is_never_in_both_splits(tmp_path: Path) -> None:
    """Two questions about each of four passages: each of two folds holds two passages."""
    data = data_folder(tmp_path, *"abcdabcd", folder="BoolQ")
    assert cut_folds(data, "BoolQ", tmp_path / "folds", folds=2, seed=3) == [(4, 4), (4, 4)]
    folder = tmp_path / "folds" / "fold-1" / "BoolQ"
    passages = [
        {json.loads(row)["passage"] for row in lines(folder, f"{name}.jsonl")} for name in ("train", "val")
    ]
    assert [len(split) for split in passages] == [2, 2]
    assert not passages[0] & passages[1]


def test_the_note_of_a_fold_excludes_the_official_val(tmp_path: Path) -> None:
    """The origin file has the checksum of the source. A folder that is not a fold has no note."""
    data = data_folder(tmp_path, *"abcd")
    cut_folds(data, "COPA", tmp_path / "folds", folds=2, seed=4)
    folder = tmp_path / "folds" / "fold-2" / "COPA"
    assert origin_note(folder) == "fold 2 of 2 of COPA/train, seed 4: not the official val"
    assert json.loads((folder / "origin.json").read_text()) == {
        "note": origin_note(folder),
        "fold": 2,
        "folds": 2,
        "seed": 4,
        "source": "COPA/train",
        "source_sha256": hashlib.sha256((data / "COPA" / "train.jsonl").read_bytes()).hexdigest(),
        "source_official": False,
    }
    assert origin_note(data / "COPA") is None


def test_the_note_of_a_fold_of_a_fold_includes_the_first_note(tmp_path: Path) -> None:
    """Its source is not the task's training split."""
    cut_folds(data_folder(tmp_path, *"abcd"), "COPA", tmp_path / "folds", folds=2, seed=0)
    cut_folds(tmp_path / "folds" / "fold-1", "COPA", tmp_path / "inner", folds=2, seed=1)
    note = origin_note(tmp_path / "inner" / "fold-1" / "COPA")
    assert note is not None
    assert "COPA/train (itself fold 1 of 2 of COPA/train, seed 0: not the official val), seed 1" in note


def test_cutting_again_restores_missing_folds_and_keeps_the_others(tmp_path: Path) -> None:
    """As after an interruption."""
    data = data_folder(tmp_path, *"abcdef")
    first = cut_folds(data, "COPA", tmp_path / "folds", folds=3, seed=0)
    kept = tmp_path / "folds" / "fold-1" / "COPA" / "val.jsonl"
    written = kept.stat().st_mtime_ns
    (tmp_path / "folds" / "fold-3" / "COPA").rename(tmp_path / "away")
    assert cut_folds(data, "COPA", tmp_path / "folds", folds=3, seed=0) == first
    assert kept.stat().st_mtime_ns == written
    assert lines(tmp_path / "away", "val.jsonl") == lines(tmp_path / "folds" / "fold-3" / "COPA", "val.jsonl")
    assert sorted(path.name for path in (tmp_path / "folds").iterdir()) == ["fold-1", "fold-2", "fold-3"]


@pytest.mark.parametrize(("folds", "seed"), [(3, 1), (2, 0)])
def test_folds_of_another_cut_are_not_overwritten(tmp_path: Path, folds: int, seed: int) -> None:
    """And no fold of the new cut is written."""
    data = data_folder(tmp_path, *"abcdef")
    cut_folds(data, "COPA", tmp_path / "folds", folds=3, seed=0)
    (tmp_path / "folds" / "fold-1" / "COPA").rename(tmp_path / "away")
    with pytest.raises(DataError, match="from another cut"):
        cut_folds(data, "COPA", tmp_path / "folds", folds=folds, seed=seed)
    assert not (tmp_path / "folds" / "fold-1" / "COPA").exists()


def test_several_tasks_share_a_folder_of_folds(tmp_path: Path) -> None:
    """As they share a data folder."""
    data_folder(tmp_path, *"abcd")
    data = data_folder(tmp_path, *"efgh", folder="WSC")
    for folder in ("COPA", "WSC"):
        cut_folds(data, folder, tmp_path / "folds", folds=2, seed=0)
    assert sorted(path.name for path in (tmp_path / "folds" / "fold-2").iterdir()) == ["COPA", "WSC"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file has no rows"),
        (b'{"premise": "a"}\n{"premise": ', "train.jsonl:2: not JSON"),
        (b'\n{"premise": "\xff"}', "train.jsonl:2: not UTF-8 text (byte 13)"),
        (b'{"premise": 3}', "train.jsonl:1: the row has no text"),
        (b'{"passage": {"words": "a"}}', "train.jsonl:1: the row has no text"),
        (b'{"word": "a"}', "train.jsonl:1: the row has no text"),
        (b"[]", "train.jsonl:1: the row has no text"),
    ],
)
def test_an_error_in_a_row_names_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    """And nothing is written."""
    data = data_folder(tmp_path, "a")
    (data / "COPA" / "train.jsonl").write_bytes(content)
    with pytest.raises(DataError) as caught:
        cut_folds(data, "COPA", tmp_path / "folds", folds=2, seed=0)
    assert message in str(caught.value)
    assert not (tmp_path / "folds").exists()


def test_a_missing_training_split_is_an_error(tmp_path: Path) -> None:
    """Folds are cut from no other split."""
    with pytest.raises(DataError, match="no such file"):
        cut_folds(tmp_path, "COPA", tmp_path / "folds", folds=2, seed=0)


def test_folds_that_cannot_be_written_raise_store_error(tmp_path: Path) -> None:
    """A file in place of the folder represents a full or read-only disk."""
    data = data_folder(tmp_path, *"abcd")
    with pytest.raises(StoreError, match="--output"):
        cut_folds(data, "COPA", data / "COPA" / "train.jsonl", folds=2, seed=0)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"note": 3}', '{"note": ""}', "\udce9"])
def test_an_origin_file_without_a_note_is_an_error(tmp_path: Path, content: str) -> None:
    """A fold with a damaged note must not pass for the official val."""
    (tmp_path / "origin.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match="on the origin of this folder"):
        origin_note(tmp_path)
