"""Describes a data folder: rows, labels, lengths, and whether each file is the official one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import DataError
from harness.workload.data.source import Data, Split, load_split
from harness.workload.tasks import TASKS
from harness.workload.tasks.base import SPLITS, Task, reported_split, split_path
from harness.workload.tasks.example import Example
from harness.workload.tasks.multi_label import MultiLabelTask

TEXTS = "texts"
"""The label name under which gold answers that are texts are counted; the texts are never shown."""


@dataclass(frozen=True, slots=True)
class Description:
    """One split of one task, or the `problem` that prevents reading it.

    `rows` counts examples, `sequences` their sequences. `labels` counts gold labels (empty where hidden).
    `words` is the mean number of words per example, separated by blanks. `official` is whether the file is
    the official one (None: unknown).
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
    """Describe every split of these tasks in the folder; DataError where there is none."""
    descriptions = [
        _describe(task, data, split)
        for task in tasks
        for split in SPLITS
        if split in task.splits and (data.folder / split_path(task, split)).exists()
    ]
    if not descriptions:
        example = split_path(tasks[0], reported_split(tasks[0]))
        raise DataError(
            "the folder holds no split of these tasks.",
            where=str(data.folder),
            remedy=f"Expected the official SuperGLUE layout, with files such as {example}.",
        )
    return descriptions


def _describe(task: Task, data: Data, split: str) -> Description:
    try:
        loaded = load_split(task, data, split)
    except DataError as error:
        return Description(task.name, split, problem=str(error).splitlines()[0])
    examples = loaded.examples
    return Description(
        task=task.name,
        split=split,
        rows=len(examples),
        sequences=sum(len(example.inputs) for example in examples),
        labels=_label_counts(loaded),
        words=sum(map(_count_words, examples)) / len(examples),
        sha256=loaded.fingerprint,
        official=loaded.official,
        note=loaded.note,
    )


def _count_words(example: Example) -> int:
    """Count an example's words; a text that several sequences share counts once."""
    texts = {text for sequence in example.inputs for text in (sequence.first, sequence.second or "")}
    return sum(len(text.split()) for text in texts)


def _label_counts(split: Split) -> tuple[tuple[str, int], ...]:
    """Count gold labels; the accepted texts of ReCoRD are counted together."""
    gold = Counter(label for example in split.examples for label in _gold_labels(split.task, example))
    labels = {*split.task.labels, *split.task.constants(split.examples[0])}
    return tuple(sorted(gold.items())) if set(gold) <= labels else ((TEXTS, gold.total()),)


def _gold_labels(task: Task, example: Example) -> Sequence[str]:
    """Return the labels that hold for an example; in gold, a set of them is a 0 or 1 for each."""
    if isinstance(task, MultiLabelTask):
        return [name for digits in example.gold for name in task.names(digits)]
    return example.gold


def generate(folder: Path, tasks: tuple[Task, ...], train_rows: int) -> None:
    """Write the embedded sample of these tasks into a new folder; DataError where it holds one of them."""
    from harness.workload import synthetic

    existing = [task.folder for task in tasks if (folder / task.folder).exists()]
    if existing:
        raise DataError(
            f"the folder holds {', '.join(existing)} already.",
            where=str(folder),
            remedy="Name a new folder with --output.",
        )
    synthetic.write(folder, tasks=tuple(task.name for task in tasks), train_rows=train_rows)
