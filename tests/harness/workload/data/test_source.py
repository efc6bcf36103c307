import json
from pathlib import Path

import pytest
from worlds import boolq_folder

from harness.common.errors import DataError, StoreError
from harness.workload.data import embedded_data, load_split, local_data
from harness.workload.data.official import official_file, official_status
from harness.workload.tasks import TASKS, get_task
from harness.workload.tasks.base import reported_split, split_path


def test_a_local_split_has_a_note_on_how_it_differs(tmp_path: Path) -> None:
    """100 rows of the official 3,270, two in three of them true."""
    split = load_split(get_task("boolq"), local_data(boolq_folder(tmp_path)))
    # i % 3 != 0 for 66 of 0..99
    assert split.majority == pytest.approx(0.66)
    assert (split.tier, split.official) == ("local", False)
    assert split.note == "100 of the official 3,270 rows: not comparable with the full split"


def test_the_fingerprint_changes_with_the_file(tmp_path: Path) -> None:
    """It is the sha256 of its bytes."""
    boolq = get_task("boolq")
    first = load_split(boolq, local_data(boolq_folder(tmp_path))).fingerprint
    assert load_split(boolq, local_data(boolq_folder(tmp_path))).fingerprint == first
    assert load_split(boolq, local_data(boolq_folder(tmp_path, rows=99))).fingerprint != first


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The remedy describes the official layout."""
    with pytest.raises(DataError, match="official layout"):
        local_data(tmp_path / "nowhere")


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_embedded_sample_is_read_like_any_folder(tmp_path: Path, name: str) -> None:
    """It is written once in the official layout, is not official, and has every label."""
    task = get_task(name)
    data = embedded_data(tmp_path, task, train_rows=8)
    reported = reported_split(task)
    split = load_split(task, data, reported)
    assert (split.tier, split.official, split.note) == ("embedded", None, None)
    assert {target for example in split.examples for target in task.targets(example)} == {
        *range(max(2, len(task.labels)))
    }
    assert 0 <= (split.majority or 0.0) < 0.75
    for other in set(task.splits) - {reported}:
        examples = load_split(task, data, other).examples
        assert len(examples) >= 8
        assert all(bool(example.gold) == (other == "train") for example in examples)
    written = (data.folder / split_path(task, reported)).stat().st_mtime_ns
    assert embedded_data(tmp_path, task, train_rows=8) == data
    assert (data.folder / split_path(task, reported)).stat().st_mtime_ns == written


def test_the_error_of_an_unwritable_cache_names_the_setting(tmp_path: Path) -> None:
    """A file in place of the cache represents a full or read-only disk."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(StoreError, match="BENCH_CACHE"):
        embedded_data(tmp_path / "cache", get_task("rte"))


def test_an_official_file_is_identified_by_its_checksum() -> None:
    """As many rows with other content are not the official file; without a checksum the status is unknown."""
    official = official_file("CB", "val")
    assert official is not None
    assert official.sha256 is not None
    assert official_status("CB", "val", 56, official.sha256) == (True, None)
    assert official_status("CB", "val", 56, "0" * 64) == (
        False,
        "as many rows as the official file, but other content",
    )
    assert official_status("CB", "val", 300, "0" * 64) == (
        False,
        "300 rows, more than the official 56: other content",
    )
    assert official_status("BoolQ", "train", 9427, "0" * 64) == (None, None)
    assert official_status("Custom", "val", 3, "0" * 64) == (None, None)


def test_a_split_without_labels_has_no_majority(tmp_path: Path) -> None:
    """As in the official test files."""
    folder = tmp_path / "RTE"
    folder.mkdir()
    row = {"premise": "a", "hypothesis": "b", "idx": 0}
    (folder / "test.jsonl").write_text(json.dumps(row))
    assert load_split(get_task("rte"), local_data(tmp_path), "test").majority is None
