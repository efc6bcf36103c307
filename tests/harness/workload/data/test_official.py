"""The table of official files, against itself and against the tasks that read them."""

import hashlib
from pathlib import Path

import pytest

from harness.workload.data.official import OFFICIAL, OfficialFile, official_file, official_status
from harness.workload.tasks import TASKS

FILES = [(task.folder, split, file) for task in OFFICIAL.values() for split, file in task.files.items()]


def test_the_table_has_eight_tasks_and_two_diagnostics() -> None:
    """In the order of SuperGLUE, by their names on the command line."""
    assert " ".join(OFFICIAL) == "boolq cb copa multirc record rte wic wsc ax-b ax-g"
    assert [len(task.files) for task in OFFICIAL.values()] == [3] * 8 + [1] * 2


@pytest.mark.parametrize("name", sorted(TASKS.keys() & OFFICIAL.keys()))
def test_a_task_reads_the_official_files(name: str) -> None:
    """Its folder and file names are those of the table."""
    task, official = TASKS[name], OFFICIAL[name]
    assert task.folder == official.folder
    assert dict(task.splits) == {split: official.file_name(split) for split in official.files}


def test_checksums_are_valid_and_distinct() -> None:
    """64 hexadecimal digits: this finds a missing digit and a line copied twice."""
    checksums = [file.sha256 for _, _, file in FILES if file.sha256] + [
        t.archive_sha256 for t in OFFICIAL.values()
    ]
    assert len(checksums) == len(set(checksums)) == 25 + 10
    assert all(len(bytes.fromhex(checksum)) == 32 for checksum in checksums)


def test_the_diagnostics_have_one_file_named_after_themselves() -> None:
    """AX-b/AX-b.jsonl is the test split."""
    assert OFFICIAL["ax-b"].file_name("test") == "AX-b.jsonl"
    assert OFFICIAL["rte"].file_name("test") == "test.jsonl"
    assert official_file("AX-g", "val") is None


def test_rows_count_lines_and_sizes_what_superglue_counts() -> None:
    """A line of MultiRC is a passage with all answers; the lines of two ReCoRD files are unknown."""
    assert [(f.rows, f.size) for f in OFFICIAL["multirc"].files.values()] == [
        (456, 27243),
        (83, 4848),
        (166, 9693),
    ]
    assert [f.rows for f in OFFICIAL["record"].files.values()] == [None, 7481, None]
    assert all(f.rows == f.size for folder, _, f in FILES if folder not in {"MultiRC", "ReCoRD"})


def test_the_checksum_decides_and_rows_describe_the_difference() -> None:
    """A folder with another name, or in other case, has no official files."""
    official = official_file("MultiRC", "val")
    assert official is not None
    assert official.sha256 is not None
    assert official_status("MultiRC", "val", 4848, official.sha256) == (True, None)
    assert official_status("MultiRC", "val", 83, "0" * 64) == (
        False,
        "as many rows as the official file, but other content",
    )
    assert official_status("ReCoRD", "train", 5, "0" * 64) == (False, "other content than the official file")
    assert official_status("multirc", "val", 83, "0" * 64) == (None, None)


def test_boolq_train_is_identified_by_its_sha1() -> None:
    """Without it, the status of a file with as many rows is unknown."""
    official = official_file("BoolQ", "train")
    assert official is not None
    assert official.sha1 is not None
    assert official_status("BoolQ", "train", 9427, "0" * 64, official.sha1) == (True, None)
    assert official_status("BoolQ", "train", 9427, "0" * 64, "0" * 40)[0] is False
    assert official_status("BoolQ", "train", 9427, "0" * 64) == (None, None)
    assert official_status("BoolQ", "train", 9426, "0" * 64)[0] is False


def test_a_file_matches_by_its_bytes(tmp_path: Path) -> None:
    """By sha256, or by SHA-1 where no sha256 is known."""
    path = tmp_path / "val.jsonl"
    path.write_bytes(b"{}")
    sha1 = hashlib.sha1(b"{}").hexdigest()
    assert OfficialFile(1, 1, hashlib.sha256(b"{}").hexdigest()).matches(path)
    assert OfficialFile(1, 1, None, sha1).matches(path)
    assert not OfficialFile(1, 1, hashlib.sha256(b"{ }").hexdigest(), sha1).matches(path)
