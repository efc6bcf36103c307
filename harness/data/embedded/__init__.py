"""The embedded tier of data: a seeded generator that writes tasks in the official SuperGLUE layout.

It needs no files and no network. Row `i` of a split depends on nothing but the version, the task, the split
and `i`, so a part of a split can be had without the rest. A score on these rows is no SuperGLUE score.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.data.embedded import boolq, cb, rte
from harness.data.embedded.dice import Dice

VERSION = 1
TASKS = ("boolq", "cb", "rte")
SPLITS = ("train", "val", "test")
FOLDERS = {"boolq": "BoolQ", "cb": "CB", "rte": "RTE"}
_ROW = {"boolq": boolq.row, "cb": cb.row, "rte": rte.row}
_SIZES = {
    "boolq": {"train": 60_000, "val": 800, "test": 800},
    "cb": {"train": 20_000, "val": 300, "test": 300},
    "rte": {"train": 30_000, "val": 400, "test": 400},
}
_FINGERPRINTED = 2_000


def sizes(task: str) -> dict[str, int]:
    """Tell how many rows each split of a task has."""
    return dict(_SIZES[task])


def rows(
    task: str, split: str, limit: int | None = None, *, max_sentences: int | None = None
) -> Iterator[dict[str, object]]:
    """Write the rows of a split one by one, at most `limit`; rows of `test` carry no label.

    `max_sentences` (at least 2) gives shorter texts than the split has, for the early steps of training.
    """
    count = _SIZES[task][split]
    for idx in range(count if limit is None else min(limit, count)):
        made = _ROW[task](Dice(VERSION, task, split, idx), split, max_sentences)
        if split == "test":
            del made["label"]
        yield {**made, "idx": idx}


def write(folder: Path, tasks: Iterable[str] = TASKS, train_rows: int | None = None) -> None:
    """Write `<Task>/{train,val,test}.jsonl` for each task into a folder, at most `train_rows` to train on."""
    for task in tasks:
        place = folder / FOLDERS[task]
        place.mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            made = rows(task, split, train_rows if split == "train" else None)
            lines = "".join(json.dumps(row) + "\n" for row in made)
            (place / f"{split}.jsonl").write_text(lines, encoding="utf-8")


def fingerprint(task: str, split: str) -> str:
    """Hash the version and the rows of a split (the first 2,000 of `train`) with SHA-256."""
    digest = hashlib.sha256(f"{VERSION}\n".encode())
    for row in rows(task, split, _FINGERPRINTED if split == "train" else None):
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
