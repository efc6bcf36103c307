"""Makes a task of a user's own texts and labels, by writing them in the layout of task `custom`.

reviews.csv  --split by a hash of the texts-->  CACHE/data/custom-HASH/custom/{train,val}.jsonl
             --split all: every row---------->  CACHE/data/custom-HASH/custom/all.jsonl
DIR/{train,val,test}.csv  --unchanged-------->  CACHE/data/custom-HASH/custom/{train,val,test}.jsonl
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.common.errors import DataError, UsageError
from harness.common.json_types import JsonValue
from harness.workload.data.folds import ORIGIN
from harness.workload.data.held_out import DEFAULT_SHARE, SEED, held_out
from harness.workload.data.source import Data, embedded_data, local_data
from harness.workload.data.tables import SUFFIXES, Quoting, TabularFile, read_table, with_plain_labels
from harness.workload.data.user.labels import LabelColumns, LabelList, column_labels, lists_labels
from harness.workload.data.user.rows import SingleLabel, UserRow, label_names, user_rows
from harness.workload.data.writing import write_once
from harness.workload.tasks import TaskReference, get_task
from harness.workload.tasks.base import SPLITS, Task
from harness.workload.tasks.custom import CUSTOM, CustomTaskDefinition, Metric, custom_task, metrics_of
from harness.workload.tasks.example import Truncation
from harness.workload.tasks.multi_label import DEFAULT_THRESHOLD

VERSION = 2
"""Version of the layout. Change it when the same file would give other splits or other rows."""

_MIN_LABELS = 2
_MAX_TEXTS = 2

CALIBRATED = "calibrated"
"""The threshold of a task that is calibrated before it is used, on training examples."""

Splits = Mapping[str, list[UserRow]]
"""Rows by the name of their split."""


@dataclass(frozen=True, slots=True)
class UserData:
    """The options that describe a user's own data; empty or None where an option was not given.

    `text` names one column, or the two of a pair. `label` names the column of the label, or several columns
    of 0 and 1 with commas between them. `labels` are in the order of the model's columns. `multi_label` is
    given where data without labels do not show that any number of labels may hold; `threshold` is the
    probability from which one holds, or `calibrated`.
    `truncate` is the text of a pair that is cut where both are too long, by default the longer one.
    """

    text: tuple[str, ...] = ()
    label: str = ""
    metric: Metric | None = None
    labels: tuple[str, ...] = ()
    held_out: float | None = None
    truncate: Truncation | None = None
    quoting: Quoting | None = None
    multi_label: bool = False
    threshold: float | Literal["calibrated"] | None = None

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The names in `label`."""
        return tuple(name.strip() for name in self.label.split(",") if name.strip())

    @property
    def given_threshold(self) -> float | None:
        """The threshold as a number; None where it was left out, or is to be calibrated."""
        return None if self.threshold is None or self.threshold == "calibrated" else float(self.threshold)

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the options that were given."""
        given = {
            "--text": self.text,
            "--label": self.label,
            "--metric": self.metric,
            "--labels": self.labels,
            "--held-out": self.held_out is not None,
            "--truncate": self.truncate,
            "--quoting": self.quoting,
            "--multi-label": self.multi_label,
            "--threshold": self.threshold is not None,
        }
        return tuple(name for name, value in given.items() if value)


@dataclass(frozen=True, slots=True)
class TaskData:
    """A task with its data. `definition` and `facts` describe the user's own, for workers and records.

    With `calibrates`, the threshold of the definition is still to be replaced by a calibrated one.
    """

    task: Task
    data: Data
    definition: CustomTaskDefinition | None = None
    facts: Mapping[str, JsonValue] | None = None
    calibrates: bool = False

    @property
    def words(self) -> TaskReference:
        """The task as a message to a worker holds it."""
        return self.definition.words if self.definition else self.task.name


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

    Without `labelled`, rows of the user's own data may lack their label; they are answered and not scored.
    """
    if name == CUSTOM and path is not None and own.text:
        return own_data(path, own, cache, split=split, labelled=labelled)
    task = get_task(name)
    if own.options:
        raise UsageError(
            f"{', '.join(own.options)} describe data of your own, and {name} reads the official layout.",
            remedy="Use --task custom, or leave these options out.",
        )
    return TaskData(task, local_data(path) if path else embedded_data(cache, task, train_rows=train_rows))


def own_data(
    path: Path, own: UserData, cache: Path, *, split: str = "val", labelled: bool = True
) -> TaskData:
    """Write the user's data below the cache, unless it is there, and return its task.

    Raises DataError with file and line of a row that cannot be used, UsageError for contradictory options.
    """
    _check_options(own, path, labelled=labelled)
    tables = _read_tables(path, own)
    reader = _label_reader(own, tables)
    multi_label = not isinstance(reader, SingleLabel)
    _check_decision(own, multi_label=multi_label)
    rows = {
        name: user_rows(table, own.text, reader, labelled=labelled and name != "test")
        for name, table in tables.items()
    }
    labels = own.labels or reader.labels or label_names(rows)
    if len(labels) < _MIN_LABELS:
        raise DataError(
            f"a classifier needs at least two labels, got {', '.join(labels) or 'none'}.",
            where=str(path),
            remedy="Check --label, or name all labels with --labels.",
        )
    share = own.held_out or DEFAULT_SHARE
    splits, note = (_split_file(rows["all"], share, split, path)) if path.is_file() else (rows, None)
    _check_split(split, splits, path)
    names = reader.labels if isinstance(reader, LabelColumns) else ()
    folder = cache / "data" / f"custom-{_digest(tables, own, splits, note, names)}"
    write_once(folder, CUSTOM, lambda scratch: _write(scratch / CUSTOM, splits, note))
    definition = _definition(own, labels, multi_label=multi_label)
    facts = {
        "text": own.text,
        "label": own.label,
        "labels": labels,
        "metric": definition.metric,
        "held_out": share if path.is_file() and split != "all" else None,
        **({"truncate": definition.truncate} if definition.pair else {}),
        **({"multi_label": True, "threshold": _threshold_fact(own, definition)} if multi_label else {}),
    }
    return TaskData(
        custom_task(definition),
        Data("local", folder),
        definition,
        facts,
        calibrates=own.threshold == CALIBRATED,
    )


def _threshold_fact(own: UserData, definition: CustomTaskDefinition) -> JsonValue:
    return CALIBRATED if own.threshold == CALIBRATED else definition.threshold


def _definition(own: UserData, labels: tuple[str, ...], *, multi_label: bool) -> CustomTaskDefinition:
    default: Any = metrics_of(multi_label=multi_label)[0]
    is_pair = len(own.text) > 1
    return CustomTaskDefinition(
        labels,
        own.metric or default,
        pair=is_pair,
        positional=bool(own.labels),
        truncate=(own.truncate or "longest") if is_pair else "first",
        multi_label=multi_label,
        threshold=DEFAULT_THRESHOLD if own.given_threshold is None else own.given_threshold,
    )


def _label_reader(own: UserData, tables: Mapping[str, TabularFile]) -> SingleLabel | LabelColumns | LabelList:
    """Return what reads a row's label: several columns, a list in one, or a single label."""
    columns = own.label_columns
    if len(columns) > 1:
        return LabelColumns(columns, column_labels(columns, own.labels))
    column = "".join(columns)
    if own.multi_label or any(lists_labels(table.rows, column) for table in tables.values()):
        return LabelList(column, own.labels)
    return SingleLabel(column, own.labels)


def _check_decision(own: UserData, *, multi_label: bool) -> None:
    """Refuse a metric or a threshold that does not fit the number of labels per example."""
    kind = "any number of labels" if multi_label else "one label"
    metrics = metrics_of(multi_label=multi_label)
    if own.metric and own.metric not in metrics:
        raise UsageError(
            f"--metric {own.metric} does not fit a task with {kind} per example.",
            remedy=f"Its metrics: {', '.join(metrics)}.",
        )
    if own.threshold is not None and not multi_label:
        raise UsageError(
            "--threshold decides which of several labels hold, and this task has one label per example.",
            remedy="Leave it out, or name several label columns: --label A,B,C.",
        )
    if own.given_threshold is not None and not 0 < own.given_threshold < 1:
        raise UsageError(f"--threshold must be between 0 and 1, got {own.given_threshold:g}.")


def _check_options(own: UserData, path: Path, *, labelled: bool) -> None:
    columns = (*own.text, *(own.label_columns or ("",)))
    if not 1 <= len(own.text) <= _MAX_TEXTS or len(set(columns)) != len(columns):
        raise UsageError(
            "--text must name one column, or two for a pair, and --label another column, or several.",
            remedy="For instance: --text premise,hypothesis --label answer.",
        )
    if not own.label_columns and (labelled or not own.labels):
        alternative = "" if labelled else ", or all labels of the model in its order: --labels NAME,..."
        raise UsageError(
            "the column of the label is missing.", remedy=f"Name it with --label COLUMN{alternative}."
        )
    if own.labels and len(set(own.labels)) < max(_MIN_LABELS, len(own.labels)):
        raise UsageError(
            f"--labels must name two or more labels, each once, got {', '.join(own.labels)}.",
            remedy="Name all labels, in the order of the model's columns.",
        )
    if own.truncate and len(own.text) < _MAX_TEXTS:
        raise UsageError(
            "--truncate names the text of a pair that is cut, and --text names one column.",
            remedy="Leave it out: a single text is cut at the side that the tokenizer sets.",
        )
    if own.held_out is None:
        return
    if not 0 < own.held_out < 1:
        raise UsageError(f"--held-out must be between 0 and 1, got {own.held_out:g}.")
    if path.is_dir():
        raise UsageError(
            "--held-out splits a single file, got a folder, whose files are the splits.",
            where=str(path),
            remedy="Leave --held-out out.",
        )


def _check_split(split: str, splits: Splits, path: Path) -> None:
    if split not in splits:
        names = [*splits, "all"] if path.is_file() else splits
        raise DataError(
            f"the data has no {split} split.", where=str(path), remedy=f"Its splits: {', '.join(names)}."
        )


def _read_tables(path: Path, own: UserData) -> dict[str, TabularFile]:
    """Read a single file as `all`, or the files of a folder by split."""
    if not path.is_dir():
        return {"all": _read_table(path, own)}
    tables: dict[str, TabularFile] = {}
    for split in SPLITS:
        files = [path / f"{split}{suffix}" for suffix in SUFFIXES if (path / f"{split}{suffix}").exists()]
        if len(files) > 1:
            raise DataError(
                f"expected one file for {split}, got {files[0].name} and {files[1].name}.",
                where=str(path),
                remedy="Move one of them away.",
            )
        if files:
            tables[split] = _read_table(files[0], own)
    if not tables:
        raise DataError(
            "the folder has no file for train, val or test.",
            where=str(path),
            remedy=f"Name the files train.csv, val.csv and so on ({', '.join(SUFFIXES)}), or name one file.",
        )
    return tables


def _read_table(path: Path, own: UserData) -> TabularFile:
    return with_plain_labels(read_table(path, own.quoting or "auto"), own.label, own.labels)


def _split_file(rows: list[UserRow], share: float, split: str, path: Path) -> tuple[Splits, str]:
    """Return the splits of a single file, and a note on them."""
    if split == "all":
        return {"all": rows}, f"every row of {path.name}"
    try:
        is_val = held_out([row.texts for row in rows], share)
    except ValueError:
        raise DataError(
            "all rows have the same text, so none can be held out.",
            where=str(path),
            remedy="Use --split all, which answers every row (bench predict, bench run).",
        ) from None
    val = [row for row, held in zip(rows, is_val, strict=True) if held]
    train = [row for row, held in zip(rows, is_val, strict=True) if not held]
    size = f"{len(val):,} of the {len(rows):,} rows of {path.name}"
    return {"train": train, "val": val}, f"{size}, held out by seed {SEED} (--held-out {share:g})"


def _digest(
    tables: Mapping[str, TabularFile],
    own: UserData,
    splits: Splits,
    note: str | None,
    names: tuple[str, ...],
) -> str:
    """Return a hash of the rows and of how they were split, which names the folder.

    `names` are the labels of several columns, which the rows then hold.
    """
    files = {split: table.sha256 for split, table in tables.items()}
    content = [VERSION, files, own.text, own.label, own.labels, list(splits), note, own.quoting]
    content += [names] if names else []
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _write(folder: Path, splits: Splits, note: str | None) -> None:
    folder.mkdir()
    for split, rows in splits.items():
        (folder / f"{split}.jsonl").write_text("".join(row.line for row in rows), encoding="utf-8")
    if note is not None:
        (folder / ORIGIN).write_text(json.dumps({"note": note}, indent=1) + "\n", encoding="utf-8")
