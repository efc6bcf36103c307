"""Reads an official prediction file, strictly: a file that passes is one that the benchmark's server accepts.

Answers of external programs are read here too (`harness.runs.worker.process_boundary`). Nothing is guessed or
repaired.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.common.errors import DataError
from harness.common.inputs.files import PREDICTIONS
from harness.workload.tasks.base import Task
from harness.workload.tasks.example import Example
from harness.workload.tasks.rows import Row, describe_id, read_rows

REMEDY = "docs/howto/programs.md shows the rows of each task; `bench predict` writes such a file."


def read_predictions(task: Task, path: Path, examples: Sequence[Example]) -> list[str]:
    """Return the answer to each example, in the order of the examples.

    Raises DataError with the line, or the idx, where the file is not an official prediction file that answers
    each example exactly once.
    """
    number = 0

    def rows() -> Iterator[Row]:
        nonlocal number
        for line, row in read_rows(path, PREDICTIONS):
            number = line
            yield row

    answers: dict[str, str] = {}
    lines: dict[str, int] = {}
    try:
        for example_id, answer in task.answers_in(rows(), examples):
            if example_id in answers:
                first = f"also on line {lines[example_id]}"
                raise ValueError(f"{describe_id(example_id)} is answered twice, {first}")  # noqa: TRY301 -- like a row's own
            answers[example_id] = answer
            lines[example_id] = number
    except ValueError as error:
        raise DataError(
            f"{error}.", where=f"{path}:{number}" if number else str(path), remedy=REMEDY
        ) from None
    except DataError as error:
        raise DataError(error.message, where=error.where, remedy=REMEDY) from None
    _check_complete(path, examples, answers)
    return [answers[example.id] for example in examples]


def _check_complete(path: Path, examples: Sequence[Example], answers: dict[str, str]) -> None:
    missing = [example.id for example in examples if example.id not in answers]
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(examples):,} examples have no answer, "
            f"first {describe_id(missing[0])}.",
            where=str(path),
            remedy=REMEDY,
        )
