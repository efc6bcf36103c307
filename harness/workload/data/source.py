"""A data source is a folder in the official layout; the embedded sample is written into one first.

That makes every tier the same to whoever reads it, in the parent and in the workers.
"""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.common.errors import DataError, StoreError
from harness.workload.data.folds import origin_note
from harness.workload.data.official import note_on, official_file
from harness.workload.tasks.base import Task, labelled, split_path
from harness.workload.tasks.example import Example

Tier = Literal["embedded", "local", "online"]


@dataclass(frozen=True, slots=True)
class Data:
    """Where examples come from: a folder in the official layout, and which tier it is."""

    tier: Tier
    folder: Path


@dataclass(frozen=True, slots=True)
class Split:
    """One split of one task, read.

    `fingerprint` is the sha256 of the file; `official` says whether it is the official file (None: not
    known); `note` is what a reader of a score must know about it.
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
        """The primary metric of the best answer that needs no reading, or None where labels are hidden."""
        examples = [example for example in self.examples if example.gold]
        if not examples:
            return None
        scoring = self.task.scoring
        constant = zip(*map(self.task.constants, examples), strict=True)
        return max(scoring(examples, answers)[scoring.metrics[0]] for answers in constant)


def local_data(folder: Path) -> Data:
    """Return the source for a folder the user named; DataError if it is not one."""
    if not folder.is_dir():
        raise DataError(
            "it is a file: one of your own is for --task custom."
            if folder.is_file()
            else "there is no such folder.",
            where=str(folder),
            remedy="--data names a folder in the official layout, with BoolQ/val.jsonl and so on inside.",
        )
    return Data("local", folder)


def embedded_data(cache: Path, task: Task, *, train_rows: int = 256) -> Data:
    """Write the embedded sample of one task below the cache, if it is not there, and return its source."""
    from harness.workload import synthetic

    if task.name not in synthetic.TASKS:
        raise DataError(f"there is no embedded data for {task.name}.", remedy="Name yours with --data DIR.")
    folder = cache / "data" / f"embedded-v{synthetic.VERSION}-{train_rows}"
    write_once(
        folder,
        task.folder,
        lambda scratch: synthetic.write(scratch, tasks=(task.name,), train_rows=train_rows),
    )
    return Data("embedded", folder)


def load_split(task: Task, data: Data, split: str = "val") -> Split:
    """Read one split; DataError names file and line, or says that the task has no such split."""
    path = data.folder / split_path(task, split)
    examples = tuple(task.read(path, labelled=labelled(task, split)))
    content = path.read_bytes()
    fingerprint = hashlib.sha256(content).hexdigest()
    official, note = _standing(task, data, split, content, fingerprint)
    return Split(split, task, data.tier, examples, fingerprint, official, note)


def write_once(folder: Path, name: str, write: Callable[[Path], object]) -> None:
    """Let `write` make the task folder `name` elsewhere and move it into `folder`, unless it is there."""
    if (folder / name).is_dir():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
            write(Path(scratch))
            _move_into_place(Path(scratch) / name, folder / name)
    except OSError as problem:
        raise StoreError(
            f"the data cannot be written: {problem.strerror}.",
            where=str(folder),
            remedy="Set BENCH_CACHE to a folder with free space that you may write.",
        ) from None


def _standing(
    task: Task, data: Data, split: str, content: bytes, fingerprint: str
) -> tuple[bool | None, str | None]:
    """Say whether a file is official, and what must be known of it: what its folder says goes first."""
    said = origin_note(data.folder / task.folder)
    if data.tier == "embedded":
        return None, said
    rows = sum(bool(line.strip()) for line in content.split(b"\n"))
    # one official file is known by its SHA-1 alone
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    official, note = note_on(task.folder, split, rows, fingerprint, sha1)
    if said is None:
        return official, note
    return (False if official_file(task.folder, split) else None), said


def _move_into_place(source: Path, target: Path) -> None:
    """Rename a finished folder; another process that was first wrote the same bytes."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
