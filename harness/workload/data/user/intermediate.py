"""Reads the files of intermediate training: pairs of texts with a label, from one file or several.

mnli.jsonl      entailment, neutral, contradiction  --+
scitail.jsonl   entailment, not_entailment          --+--> examples of one task with three labels
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.common.errors import DataError, UsageError
from harness.workload.data.tables import TabularFile, read_table
from harness.workload.data.user.rows import SingleLabel, UserRow, user_rows
from harness.workload.tasks.example import Example, TextInput
from harness.workload.tasks.intermediate import IntermediateTask, accepted_labels, intermediate_task

_MIN_LABELS = 2


@dataclass(frozen=True, slots=True)
class IntermediateFile:
    """One file: its name without a path, its sha256, and its number of rows."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class IntermediateData:
    """The task, the examples of all files in their order, and the files."""

    task: IntermediateTask
    examples: tuple[Example, ...]
    files: tuple[IntermediateFile, ...]

    @property
    def fingerprint(self) -> str:
        """The sha256 over the files' hashes and the examples."""
        content = [[file.sha256 for file in self.files], repr(self.examples)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def load_intermediate(paths: Sequence[Path], text: Sequence[str], label: str) -> IntermediateData:
    """Read files with the columns `text` (two) and `label`.

    DataError for a file that is missing or cannot be read, a row without texts or label, or fewer than two
    labels; UsageError for a file that is named twice.
    """
    if repeated := [path for number, path in enumerate(paths) if path in paths[:number]]:
        raise UsageError("--first names the file twice.", where=str(repeated[0]), remedy="Name it once.")
    if missing := [path for path in paths if not path.is_file()]:
        raise DataError("there is no such file.", where=str(missing[0]), remedy="Name a file with --first.")
    tables = [read_table(path) for path in paths]
    rows = [user_rows(table, text, SingleLabel(label, ()), labelled=True) for table in tables]
    accepted = accepted_labels(str(row.label) for part in rows for row in part)
    labels = sorted({name for names in accepted.values() for name in names})
    if len(labels) < _MIN_LABELS:
        raise DataError(
            f"a classifier needs at least two labels, got {', '.join(labels)}.",
            where=", ".join(map(str, paths)),
            remedy="Name a file with more labels, or another column with --first-label.",
        )
    examples = tuple(
        _example(f"{number}-{row.idx}", row, accepted[str(row.label)])
        for number, part in enumerate(rows)
        for row in part
    )
    files = tuple(map(_file, tables))
    return IntermediateData(intermediate_task(labels), examples, files)


def _example(name: str, row: UserRow, gold: tuple[str, ...]) -> Example:
    first, second = row.texts
    return Example(name, (TextInput(first, second, truncate="longest"),), gold)


def _file(table: TabularFile) -> IntermediateFile:
    return IntermediateFile(table.path.name, table.sha256, len(table.rows))
