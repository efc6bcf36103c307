"""Data sources. Each is a folder in the official layout; the embedded sample is first written into one.

The parent and the workers therefore read every source in the same way.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.common.errors import DataError
from harness.workload.data.folds import origin_note
from harness.workload.data.official import official_file, official_status
from harness.workload.data.writing import write_once
from harness.workload.tasks.base import Task, constant_answers, labelled, split_path
from harness.workload.tasks.example import Example

Tier = Literal["embedded", "local", "online"]


@dataclass(frozen=True, slots=True)
class Data:
    """A folder in the official layout, and its tier: where the examples come from."""

    tier: Tier
    folder: Path


@dataclass(frozen=True, slots=True)
class Split:
    """The examples of one split of one task.

    `fingerprint` is the sha256 of the file. `official` is whether it is the official file (None: unknown).
    `note` is what a reader of a score must know about the file.
    """

    name: str
    task: Task
    tier: Tier
    examples: tuple[Example, ...]
    fingerprint: str
    official: bool | None
    note: str | None

    @property
    def majority(self) -> float | None:
        """The primary metric of the best constant answer, or None where labels are hidden."""
        examples = [example for example in self.examples if example.gold]
        if not examples:
            return None
        scoring = self.task.scoring
        answers_of_each = constant_answers(self.task, examples)
        return max(scoring(examples, answers)[scoring.metrics[0]] for answers in answers_of_each)


def local_data(folder: Path) -> Data:
    """Return the source for a folder that the user named; DataError where it is not a folder."""
    if not folder.is_dir():
        raise DataError(
            "expected a folder, got a file. A file of your own is read with --task custom."
            if folder.is_file()
            else "there is no such folder.",
            where=str(folder),
            remedy="--data names a folder in the official layout, with files such as BoolQ/val.jsonl.",
        )
    return Data("local", folder)


def embedded_data(cache: Path, task: Task, *, train_rows: int = 256) -> Data:
    """Write a task's embedded sample below the cache, unless it is there, and return its source."""
    from harness.workload import synthetic

    if task.name not in synthetic.TASKS:
        raise DataError(f"{task.name} has no embedded data.", remedy="Name your own with --data DIR.")
    folder = cache / "data" / f"embedded-v{synthetic.VERSION}-{train_rows}"
    write_once(
        folder,
        task.folder,
        lambda scratch: synthetic.write(scratch, tasks=(task.name,), train_rows=train_rows),
    )
    return Data("embedded", folder)


def load_split(task: Task, data: Data, split: str = "val") -> Split:
    """Read one split; DataError with file and line, or where the task has no such split."""
    path = data.folder / split_path(task, split)
    examples = tuple(task.read(path, labelled=labelled(task, split)))
    content = path.read_bytes()
    fingerprint = hashlib.sha256(content).hexdigest()
    official, note = _official_and_note(task, data, split, content, fingerprint)
    return Split(split, task, data.tier, examples, fingerprint, official, note)


def _official_and_note(
    task: Task, data: Data, split: str, content: bytes, sha256: str
) -> tuple[bool | None, str | None]:
    """Return whether a file is official, and a note on it; a note in its folder goes first."""
    origin = origin_note(data.folder / task.folder)
    if data.tier == "embedded":
        return None, origin
    if origin is not None:
        return (False if official_file(task.folder, split) else None), origin
    rows = sum(bool(line.strip()) for line in content.split(b"\n"))
    # one official file is identified by its SHA-1 alone
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return official_status(task.folder, split, rows, sha256, sha1)
