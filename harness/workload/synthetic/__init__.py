"""The embedded tier of data: a seeded generator that writes tasks in the official SuperGLUE layout.

It needs no files and no network. What row `i` of a split says depends on nothing but the version, the task,
the split and `i`, so a part of a split can be had without the rest. A score on these rows is not a score
on SuperGLUE.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from harness.workload.synthetic.seeded_choice import Dice
from harness.workload.synthetic.tasks import axb, axg, boolq, cb, copa, multirc, record, rte, wic, wsc

Row = dict[str, object]

VERSION = 2
SPLITS = ("train", "val", "test")
FOLDERS = {
    "boolq": "BoolQ",
    "cb": "CB",
    "copa": "COPA",
    "multirc": "MultiRC",
    "record": "ReCoRD",
    "rte": "RTE",
    "wic": "WiC",
    "wsc": "WSC",
    "ax-b": "AX-b",
    "ax-g": "AX-g",
}
TASKS = tuple(FOLDERS)
DIAGNOSTICS = ("ax-b", "ax-g")
_ROW: dict[str, Callable[[Dice, str, int | None], Row]] = {
    "boolq": boolq.row,
    "cb": cb.row,
    "copa": copa.row,
    "multirc": multirc.row,
    "record": record.row,
    "rte": rte.row,
    "wic": wic.row,
    "wsc": wsc.row,
    "ax-b": axb.row,
    "ax-g": axg.row,
}
_SIZES = {
    "boolq": {"train": 60_000, "val": 800, "test": 800},
    "cb": {"train": 20_000, "val": 300, "test": 300},
    "copa": {"train": 20_000, "val": 300, "test": 300},
    "multirc": {"train": 15_000, "val": 120, "test": 120},
    "record": {"train": 15_000, "val": 150, "test": 150},
    "rte": {"train": 30_000, "val": 400, "test": 400},
    "wic": {"train": 30_000, "val": 400, "test": 400},
    "wsc": {"train": 20_000, "val": 300, "test": 300},
    "ax-b": {"test": 300},
    "ax-g": {"test": 200},
}
_FINGERPRINTED = 2_000


def sizes(task: str) -> dict[str, int]:
    """Tell how many rows each split of a task has; a diagnostic has `test` alone."""
    return dict(_SIZES[task])


def rows(
    task: str, split: str, limit: int | None = None, *, max_sentences: int | None = None
) -> Iterator[dict[str, object]]:
    """Write the rows of a split one by one, at most `limit`; a row is a passage in MultiRC and ReCoRD.

    Rows of `test` carry no label, but for the diagnostics, which have no other split. `max_sentences` (at
    least 2) gives shorter texts than the split has, for the early steps of training; tasks of one or two
    sentences are as they are.
    """
    count = _SIZES[task][split]
    drawn = (_ROW[task](Dice(VERSION, task, split, number), split, max_sentences) for number in range(count))
    for row in islice(_NUMBERED.get(task, _numbered)(drawn), count if limit is None else min(limit, count)):
        if split == "test" and task not in DIAGNOSTICS:
            _UNLABEL.get(task, _unlabel)(row)
        yield row


def write(folder: Path, tasks: Iterable[str] = TASKS, train_rows: int | None = None) -> None:
    """Write `<Task>/{train,val,test}.jsonl` for each task into a folder, at most `train_rows` to train on.

    A diagnostic is the one file `<Task>/<Task>.jsonl`, with labels.
    """
    for task in tasks:
        place = folder / FOLDERS[task]
        place.mkdir(parents=True, exist_ok=True)
        for split in _SIZES[task]:
            made = rows(task, split, train_rows if split == "train" else None)
            name = FOLDERS[task] if task in DIAGNOSTICS else split
            lines = "".join(json.dumps(row) + "\n" for row in made)
            (place / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def fingerprint(task: str, split: str) -> str:
    """Hash the version and the rows of a split (the first 2,000 of `train`) with SHA-256."""
    digest = hashlib.sha256(f"{VERSION}\n".encode())
    for row in rows(task, split, _FINGERPRINTED if split == "train" else None):
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _numbered(drawn: Iterable[Row]) -> Iterator[Row]:
    for idx, row in enumerate(drawn):
        yield {**row, "idx": idx}


def _unlabel(row: Row) -> None:
    del row["label"]


_NUMBERED: dict[str, Callable[[Iterable[Row]], Iterator[Row]]] = {
    "multirc": multirc.numbered,
    "record": record.numbered,
    "ax-b": axb.numbered,
    "ax-g": axg.pairs,
}
_UNLABEL: dict[str, Callable[[Row], None]] = {"multirc": multirc.unlabel, "record": record.unlabel}
