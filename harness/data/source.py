"""A data source is a folder in the official layout; the embedded sample is written into one first.

That makes every tier the same to whoever reads it, in the parent and in the workers.
"""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.data.official import note_on
from harness.errors import DataError, StoreError
from harness.system import Example
from harness.tasks.base import Task

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
    tier: Tier
    examples: tuple[Example, ...]
    fingerprint: str
    official: bool | None
    note: str | None

    @property
    def majority(self) -> float | None:
        """The share of the most frequent label, or None where labels are hidden."""
        gold = [example.gold for example in self.examples if example.gold]
        return max(map(gold.count, set(gold))) / len(gold) if gold else None


def local_data(folder: Path) -> Data:
    """Return the source for a folder the user named; DataError if it is not one."""
    if not folder.is_dir():
        raise DataError(
            "there is no such folder.",
            where=str(folder),
            remedy="--data names a folder in the official layout, with BoolQ/val.jsonl and so on inside.",
        )
    return Data("local", folder)


def embedded_data(cache: Path, task: Task, *, train_rows: int = 256) -> Data:
    """Write the embedded sample of one task below the cache, if it is not there, and return its source."""
    from harness.data import embedded

    folder = cache / "data" / f"embedded-v{embedded.VERSION}-{train_rows}"
    if (folder / task.folder / "val.jsonl").exists():
        return Data("embedded", folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
            embedded.write(Path(scratch), tasks=(task.name,), train_rows=train_rows)
            _move_into_place(Path(scratch) / task.folder, folder / task.folder)
    except OSError as problem:
        raise StoreError(
            f"the embedded sample cannot be written: {problem.strerror}.",
            where=str(folder),
            remedy="Set BENCH_CACHE to a folder with free space that you may write.",
        ) from None
    return Data("embedded", folder)


def load_split(task: Task, data: Data, split: str = "val") -> Split:
    """Read one split; DataError names file and line. Only val and train carry labels."""
    path = data.folder / task.folder / f"{split}.jsonl"
    examples = tuple(task.read(path, labelled=split != "test"))
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    official, note = (
        (None, None) if data.tier == "embedded" else note_on(task.folder, split, len(examples), fingerprint)
    )
    return Split(split, data.tier, examples, fingerprint, official, note)


def _move_into_place(source: Path, target: Path) -> None:
    """Rename a finished folder; another process that was first wrote the same bytes."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
