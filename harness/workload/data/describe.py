"""What a data folder holds: rows, labels, lengths, and whether each file is the official one."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import DataError
from harness.workload.data.source import Data, Split, load_split
from harness.workload.tasks import TASKS
from harness.workload.tasks.base import Task, reported_split, split_path
from harness.workload.tasks.example import Example

TEXTS = "texts"
"""What stands for gold answers that are texts, which are counted and never shown."""

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Description:
    """One split of one task, or why it cannot be read.

    `rows` counts examples, and `sequences` what they hold together; `labels` counts gold labels (empty where
    they are hidden); `words` is the mean number of blank-separated words of an example; `official` is True,
    False, or None where nothing is known of the file.
    """

    task: str
    split: str
    rows: int = 0
    sequences: int = 0
    labels: tuple[tuple[str, int], ...] = ()
    words: float = 0.0
    sha256: str = ""
    official: bool | None = None
    note: str | None = None
    problem: str | None = None


def describe(data: Data, tasks: tuple[Task, ...] = tuple(TASKS.values())) -> list[Description]:
    """Describe every split that the folder has of these tasks; DataError if it has none at all."""
    found = [
        _describe(task, data, split)
        for task in tasks
        for split in SPLITS
        if split in task.splits and (data.folder / split_path(task, split)).exists()
    ]
    if not found:
        raise DataError(
            "no split of these tasks is in this folder.",
            where=str(data.folder),
            remedy=f"Expected for instance {_expected(tasks[0])}: the official SuperGLUE layout.",
        )
    return found


def _expected(task: Task) -> str:
    return split_path(task, reported_split(task))


def _describe(task: Task, data: Data, split: str) -> Description:
    try:
        read = load_split(task, data, split)
    except DataError as problem:
        return Description(task.name, split, problem=str(problem).splitlines()[0])
    words = sum(map(_words, read.examples))
    return Description(
        task=task.name,
        split=split,
        rows=len(read.examples),
        sequences=sum(len(example.inputs) for example in read.examples),
        labels=_labels(read),
        words=words / len(read.examples),
        sha256=read.fingerprint,
        official=read.official,
        note=read.note,
    )


def _words(example: Example) -> int:
    """Count an example's words; a text that several sequences share counts once."""
    texts = {text for sequence in example.inputs for text in (sequence.first, sequence.second or "")}
    return sum(len(text.split()) for text in texts)


def _labels(read: Split) -> tuple[tuple[str, int], ...]:
    """Count gold labels; the texts that ReCoRD accepts are no labels."""
    gold = Counter(label for example in read.examples for label in example.gold)
    known = {*read.task.labels, *read.task.constants(read.examples[0])}
    return tuple(sorted(gold.items())) if set(gold) <= known else ((TEXTS, gold.total()),)


def generate(folder: Path, tasks: tuple[Task, ...], train_rows: int) -> None:
    """Write the embedded sample of these tasks into a new folder; DataError if it holds any of them."""
    from harness.workload import synthetic

    taken = [task.folder for task in tasks if (folder / task.folder).exists()]
    if taken:
        raise DataError(
            f"{', '.join(taken)} is there already.",
            where=str(folder),
            remedy="Name a new folder with --output.",
        )
    synthetic.write(folder, tasks=tuple(task.name for task in tasks), train_rows=train_rows)
