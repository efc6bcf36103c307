"""A user's own texts and labels, written in the layout of a task: from then on they are one more task.

    reviews.csv  --sides by a hash of the texts-->  CACHE/data/custom-HASH/custom/{train,val}.jsonl
                 --split all: every row-->          CACHE/data/custom-HASH/custom/all.jsonl
    DIR/{train,val,test}.csv  --as they are-->      CACHE/data/custom-HASH/custom/{train,val,test}.jsonl

Who is held out depends on the texts and on the share alone, never on `--seed`: a model that was trained under
another seed must not be asked what it has learned.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.common.errors import DataError, UsageError
from harness.workload.data.folds import ORIGIN
from harness.workload.data.source import Data, embedded_data, local_data, write_once
from harness.workload.data.tables import SUFFIXES, TabularFile, read_table
from harness.workload.tasks import TaskReference, get_task
from harness.workload.tasks.base import SPLITS, Task
from harness.workload.tasks.custom import CUSTOM, CustomTaskDefinition, Metric, custom_task
from harness.workload.tasks.rows import Row, encodable, field, text_field

HELD_OUT = 0.2
"""The share of one file that is val, where `--held-out` does not say."""

SEED = 0
"""Of the sides that rows take; fixed, so that training and measuring agree on them."""

VERSION = 1
"""Of the layout: other sides or other rows of the same file are another version."""

FEWEST = 2
"""Labels that make a question, and texts that can be on different sides."""


@dataclass(frozen=True, slots=True)
class UserData:
    """What the user says of data of their own; empty or None where nothing was said.

    `text` names one column or the two of a pair; `labels` are in the order of the model's columns.
    """

    text: tuple[str, ...] = ()
    label: str = ""
    metric: Metric | None = None
    labels: tuple[str, ...] = ()
    held_out: float | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """The options that were given."""
        given = {
            "--text": self.text,
            "--label": self.label,
            "--metric": self.metric,
            "--labels": self.labels,
            "--held-out": self.held_out is not None,
        }
        return tuple(name for name, said in given.items() if said)


@dataclass(frozen=True, slots=True)
class TaskData:
    """A task with its data; where both are the user's, its `definition` and `facts` for the configuration."""

    task: Task
    data: Data
    definition: CustomTaskDefinition | None = None
    facts: Mapping[str, Any] | None = None

    @property
    def words(self) -> TaskReference:
        """The task as it crosses to a worker."""
        return self.definition.words if self.definition else self.task.name


@dataclass(frozen=True, slots=True)
class Item:
    """One row: its place in its file from 0, its texts, and its label if it has one."""

    idx: int
    texts: tuple[str, ...]
    label: str | None

    @property
    def written(self) -> str:
        """The row as a line of the layout."""
        row: dict[str, Any] = dict(zip(("first", "second"), self.texts, strict=False))
        if self.label is not None:
            row["label"] = self.label
        return json.dumps({**row, "idx": self.idx}) + "\n"


def find_task_data(
    name: str,
    path: Path | None,
    own: UserData,
    cache: Path,
    *,
    split: str,
    labelled: bool = True,
    train_rows: int = 256,
) -> TaskData:
    """Return the task of this name with its data: the user's own, a folder, or the embedded sample.

    Without `labelled`, rows of the user's own may lack their label: they are answered and not scored.
    """
    if name == CUSTOM and path is not None and own.text:
        return own_data(path, own, cache, split=split, labelled=labelled)
    task = get_task(name)
    if own.options:
        raise UsageError(
            f"{', '.join(own.options)}: for data of your own only, and {name} has its official layout.",
            remedy="Say --task custom, or leave them out.",
        )
    return TaskData(task, local_data(path) if path else embedded_data(cache, task, train_rows=train_rows))


def own_data(
    path: Path, own: UserData, cache: Path, *, split: str = "val", labelled: bool = True
) -> TaskData:
    """Write the user's data below the cache, if they are not there, and return their task.

    DataError names file and line of what cannot be used, UsageError an option that makes no sense.
    """
    _check(own, path, labelled=labelled)
    tables = _tables(path)
    items = {name: _items(table, own, labelled=labelled and name != "test") for name, table in tables.items()}
    labels = own.labels or _labels(items)
    if len(labels) < FEWEST:
        raise DataError(
            f"the labels found are {', '.join(labels) or 'none'}: a classifier needs at least two.",
            where=str(path),
            remedy="Check --label, or name all labels with --labels.",
        )
    share = own.held_out or HELD_OUT
    sides, note = _sides(items, share, split, path)
    if split not in sides:
        there = [*sides, "all"] if path.is_file() else list(sides)
        raise DataError(
            f"there is no {split} split.", where=str(path), remedy=f"Splits here: {', '.join(there)}."
        )
    folder = cache / "data" / f"custom-{_digest(tables, own, sides, note)}"
    write_once(folder, CUSTOM, lambda scratch: _write(scratch / CUSTOM, sides, note))
    definition = CustomTaskDefinition(labels, own.metric or "accuracy", len(own.text) > 1, bool(own.labels))
    facts = {"text": own.text, "label": own.label, "labels": labels, "metric": definition.metric}
    drawn = share if path.is_file() and split != "all" else None
    return TaskData(custom_task(definition), Data("local", folder), definition, {**facts, "held_out": drawn})


def held_out(texts: Sequence[Sequence[str]], share: float) -> list[bool]:
    """Say for each row whether it is held out: a hash of its texts below the share, equal texts alike.

    Rows that join or leave the file change nobody else's side, a smaller share holds out a part of a larger
    one's rows, and there is a row on each side. ValueError where all texts are equal.
    """
    places = [_place(row) for row in texts]
    distinct = sorted(set(places))
    if len(distinct) < FEWEST:
        raise ValueError("fewer than two different texts have no two sides")
    edge = min(max(share, distinct[0]), distinct[-2])
    return [place <= edge for place in places]


def _place(texts: Sequence[str]) -> float:
    """Return where in 0..1 a row falls; blanks make no other text."""
    words = json.dumps([SEED, *(" ".join(text.split()) for text in texts)])
    return int(hashlib.sha256(words.encode()).hexdigest()[:13], 16) / 16**13


def _check(own: UserData, path: Path, *, labelled: bool) -> None:
    if len(set(own.text)) < len(own.text) or len(own.text) not in (1, 2) or own.label in own.text:
        raise UsageError(
            "--text names one column, or the two of a pair, and --label another one.",
            remedy="For instance --text premise,hypothesis --label answer.",
        )
    if not own.label and (labelled or not own.labels):
        also = "" if labelled else ", or name the labels of the model's columns: --labels NAME,..."
        raise UsageError("it is not said which column holds the label.", remedy=f"Say --label COLUMN{also}.")
    if own.labels and len(set(own.labels)) < max(FEWEST, len(own.labels)):
        raise UsageError("--labels names two labels or more, each once, in the order of the model's columns.")
    if own.held_out is None:
        return
    if not 0 < own.held_out < 1:
        raise UsageError(f"--held-out {own.held_out:g} is out of range.", remedy="It is between 0 and 1.")
    if path.is_dir():
        raise UsageError("--held-out splits one file, and a folder is split already.", where=str(path))


def _tables(path: Path) -> dict[str, TabularFile]:
    """Read the one file as `all`, or those of a folder by split."""
    if not path.is_dir():
        return {"all": read_table(path)}
    found: dict[str, TabularFile] = {}
    for split in SPLITS:
        files = [path / f"{split}{suffix}" for suffix in SUFFIXES if (path / f"{split}{suffix}").exists()]
        if len(files) > 1:
            raise DataError(f"both {files[0].name} and {files[1].name} are there.", where=str(path))
        if files:
            found[split] = read_table(files[0])
    if not found:
        raise DataError(
            "neither train, val nor test is there.",
            where=str(path),
            remedy=f"A folder holds train.csv, val.csv and so on ({', '.join(SUFFIXES)}); or name one file.",
        )
    return found


def _items(table: TabularFile, own: UserData, *, labelled: bool) -> list[Item]:
    items = []
    for idx, (line, row) in enumerate(table.rows):
        where = f"{table.path}:{line}"
        texts = tuple(text_field(row, column, where) for column in own.text)
        label = _label(row, own.label, where) if own.label and (labelled or own.label in row) else None
        if label is None and labelled:
            raise DataError(
                f"the label {own.label!r} is empty.", where=where, remedy="Label the row, or take it out."
            )
        if label is not None and own.labels and label not in own.labels:
            raise DataError(
                f"label {json.dumps(label)} is not one of --labels.",
                where=where,
                remedy=f"Named: {', '.join(own.labels)}.",
            )
        items.append(Item(idx, texts, label))
    return items


def _label(row: Row, column: str, where: str) -> str | None:
    """Return a label's name: text as it is, a whole number's digits, true or false; None for an empty one."""
    value = field(row, column, where)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if not isinstance(value, str | int):
        raise DataError(
            f"the label {column!r} is {type(value).__name__}.",
            where=where,
            remedy="A label is text, a whole number, true or false.",
        )
    return encodable(value, column, where) if isinstance(value, str) else json.dumps(value)


def _labels(items: Mapping[str, list[Item]]) -> tuple[str, ...]:
    return tuple(sorted({item.label for part in items.values() for item in part if item.label is not None}))


def _sides(
    items: Mapping[str, list[Item]], share: float, split: str, path: Path
) -> tuple[Mapping[str, list[Item]], str | None]:
    """Return the rows by split, and what must be known of them."""
    if not path.is_file():
        return items, None
    rows = items["all"]
    if split == "all":
        return items, f"every row of {path.name}"
    try:
        aside = held_out([item.texts for item in rows], share)
    except ValueError:
        raise DataError(
            "all rows have the same text: none can be held out.",
            where=str(path),
            remedy="Split all answers every row (bench predict, bench run).",
        ) from None
    val = [item for item, out in zip(rows, aside, strict=True) if out]
    train = [item for item, out in zip(rows, aside, strict=True) if not out]
    drawn = f"{len(val):,} of the {len(rows):,} rows of {path.name}"
    return {"train": train, "val": val}, f"{drawn}, held out by seed {SEED} (--held-out {share:g})"


def _digest(
    tables: Mapping[str, TabularFile], own: UserData, sides: Mapping[str, list[Item]], note: str | None
) -> str:
    """Name the layout by what is in it and how it came apart."""
    files = {split: table.sha256 for split, table in tables.items()}
    facts = [VERSION, files, own.text, own.label, list(sides), note]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _write(folder: Path, sides: Mapping[str, list[Item]], note: str | None) -> None:
    folder.mkdir()
    for split, items in sides.items():
        (folder / f"{split}.jsonl").write_text("".join(item.written for item in items), encoding="utf-8")
    if note is not None:
        (folder / ORIGIN).write_text(json.dumps({"note": note}, indent=1) + "\n", encoding="utf-8")
