"""The embedded sample: a seeded generator that writes tasks in the official SuperGLUE layout.

It needs no network. Row `i` of a split depends only on the version, the task, the split and `i`, so part of
a split can be generated without the rest. A score on these rows is not a score on SuperGLUE.

    lexicon (words, templates) --> facts (entities, values) --> passages, news reports --> tasks (rows)
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from harness.workload.synthetic.seeded_random import SeededRandom
from harness.workload.synthetic.splits import SPLITS as SPLITS
from harness.workload.synthetic.tasks import axb, axg, boolq, cb, copa, multirc, record, rte, wic, wsc

Row = dict[str, object]

VERSION = 2
_FINGERPRINTED_TRAIN_ROWS = 2_000


def _number_rows(rows: Iterable[Row]) -> Iterator[Row]:
    for idx, row in enumerate(rows):
        yield {**row, "idx": idx}


def _remove_label(row: Row) -> None:
    del row["label"]


@dataclass(frozen=True, slots=True)
class _Generator:
    """How a task is generated: its official folder, how a row is drawn, and how many each split has."""

    folder: str
    draw_row: Callable[[SeededRandom, str, int | None], Row]
    sizes: dict[str, int]
    number_rows: Callable[[Iterable[Row]], Iterator[Row]] = _number_rows
    remove_labels: Callable[[Row], None] = _remove_label


def _sizes(train: int, held_out: int) -> dict[str, int]:
    return {"train": train, "val": held_out, "test": held_out}


_GENERATORS = {
    "boolq": _Generator("BoolQ", boolq.draw_row, _sizes(60_000, 800)),
    "cb": _Generator("CB", cb.draw_row, _sizes(20_000, 300)),
    "copa": _Generator("COPA", copa.draw_row, _sizes(20_000, 300)),
    "multirc": _Generator(
        "MultiRC", multirc.draw_row, _sizes(15_000, 120), multirc.number_rows, multirc.remove_labels
    ),
    "record": _Generator(
        "ReCoRD", record.draw_row, _sizes(15_000, 150), record.number_rows, record.remove_labels
    ),
    "rte": _Generator("RTE", rte.draw_row, _sizes(30_000, 400)),
    "wic": _Generator("WiC", wic.draw_row, _sizes(30_000, 400)),
    "wsc": _Generator("WSC", wsc.draw_row, _sizes(20_000, 300)),
    "ax-b": _Generator("AX-b", axb.draw_row, {"test": 300}, axb.number_rows),
    "ax-g": _Generator("AX-g", axg.draw_row, {"test": 200}, axg.number_pairs),
}
TASKS = tuple(_GENERATORS)
DIAGNOSTICS = tuple(task for task, generator in _GENERATORS.items() if "train" not in generator.sizes)


def sizes(task: str) -> dict[str, int]:
    """Return the number of rows of each split of a task; a diagnostic has only `test`."""
    return dict(_GENERATORS[task].sizes)


def rows(
    task: str, split: str, limit: int | None = None, *, max_sentences: int | None = None
) -> Iterator[dict[str, object]]:
    """Generate the rows of a split one by one, at most `limit`; a row is a passage in MultiRC and ReCoRD.

    Rows of `test` carry no label, except in diagnostics, which have no other split. `max_sentences` (at
    least 2) gives shorter texts than the split has, for the early steps of training; tasks of one or two
    sentences ignore it.
    """
    generator = _GENERATORS[task]
    count = generator.sizes[split]
    drawn = (
        generator.draw_row(SeededRandom(VERSION, task, split, index), split, max_sentences)
        for index in range(count)
    )
    for row in islice(generator.number_rows(drawn), count if limit is None else min(limit, count)):
        if split == "test" and task not in DIAGNOSTICS:
            generator.remove_labels(row)
        yield row


def write(folder: Path, tasks: Iterable[str] = TASKS, train_rows: int | None = None) -> None:
    """Write `<Task>/{train,val,test}.jsonl` for each task into a folder, `train` with at most `train_rows`.

    A diagnostic is the one file `<Task>/<Task>.jsonl`, with labels.
    """
    for task in tasks:
        task_folder = folder / _GENERATORS[task].folder
        task_folder.mkdir(parents=True, exist_ok=True)
        for split in sizes(task):
            name = task_folder.name if task in DIAGNOSTICS else split
            split_rows = rows(task, split, train_rows if split == "train" else None)
            lines = "".join(json.dumps(row) + "\n" for row in split_rows)
            (task_folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def fingerprint(task: str, split: str) -> str:
    """Hash the version and the rows of a split (the first 2,000 of `train`) with SHA-256."""
    digest = hashlib.sha256(f"{VERSION}\n".encode())
    for row in rows(task, split, _FINGERPRINTED_TRAIN_ROWS if split == "train" else None):
        digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
